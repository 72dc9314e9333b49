//! Answers whose bodies last for minutes: event streams. hyper would keep two buffers of 8 KiB for
//! each until its end. On HTTP/1.1 the port takes the stream back from hyper when the head of the
//! answer is known, and this sends the answer: head, body in chunks, end of the connection.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use bytes::Bytes;
use http::header;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// In the extensions of an answer whose body lasts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LastingBody;

/// What a client may send while it is answered; it is not read as a request.
const IGNORED_BYTES: usize = 1024;
/// Reads before other tasks run.
const READS: usize = 4;
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// The date of RFC 9110, section 5.6.7.
const DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

/// An answer that is being sent. Ends with the body, with the client, or when nothing is read of
/// it for too long.
pub(crate) struct LastingAnswer<S> {
    stream: S,
    body: Body,
    /// What is to be written now, of which `written` bytes are. Nothing while the body has nothing
    /// new, so that an idle stream holds no buffer.
    out: Vec<u8>,
    written: usize,
    has_ended: bool,
    ignored: usize,
    unread: Duration,
    /// Runs while the client does not read.
    blocked: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> LastingAnswer<S> {
    /// Answers on a stream on which nothing has been written before. Ends when nothing is read for
    /// the time `unread`.
    pub(crate) fn new(stream: S, answer: Response, unread: Duration) -> Self {
        let (head, body) = answer.into_parts();
        let mut out = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
        for (name, value) in &head.headers {
            out.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        if !head.headers.contains_key(header::DATE) {
            let date = jiff::Timestamp::now().strftime(DATE);
            out.extend(format!("date: {date}\r\n").into_bytes());
        }
        out.extend(b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n");
        let (written, ignored) = (0, 0);
        Self { stream, body, out, written, has_ended: false, ignored, unread, blocked: None }
    }

    /// Ready when the client has gone.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 256];
        for _ in 0..READS {
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
            self.ignored += buffer.filled().len();
            if read.is_err() || buffer.filled().is_empty() || self.ignored > IGNORED_BYTES {
                return Poll::Ready(());
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ready when everything has been written, or nothing more can be.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.poll_out(context) {
                Poll::Ready(Ok(())) => self.blocked = None,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return self.poll_blocked(context),
            }
            if self.has_ended {
                let closed = pin!(&mut self.stream).poll_shutdown(context);
                return if closed.is_ready() {
                    Poll::Ready(())
                } else {
                    self.poll_blocked(context)
                };
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    self.out = frame.data_ref().map(chunk).unwrap_or_default();
                }
                Some(Err(_)) => return Poll::Ready(()),
                None => (self.out, self.has_ended) = (LAST_CHUNK.to_vec(), true),
            }
        }
    }

    /// Writes what is to be written.
    fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(&mut self.stream);
        while self.written < self.out.len() {
            let sent = ready!(stream.as_mut().poll_write(context, &self.out[self.written..]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += sent;
            self.blocked = None;
        }
        ready!(stream.poll_flush(context))?;
        (self.out, self.written) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    /// Ready when the client has read nothing for too long.
    fn poll_blocked(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let unread = self.unread;
        self.blocked.get_or_insert_with(|| Box::pin(sleep(unread))).as_mut().poll(context)
    }
}

fn chunk(data: &Bytes) -> Vec<u8> {
    // A chunk without data would be the last one.
    if data.is_empty() {
        return Vec::new();
    }
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for LastingAnswer<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.poll_read(context).is_ready() {
            return Poll::Ready(());
        }
        this.poll_send(context)
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use futures::{FutureExt as _, StreamExt as _};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::sync::mpsc;

    use super::*;

    const UNREAD: Duration = Duration::from_secs(25);

    type Frames = mpsc::UnboundedSender<Result<&'static str, io::Error>>;

    /// An answer on a stream that buffers this many bytes, its other end, and its frames.
    fn answering(buffer: usize) -> (LastingAnswer<DuplexStream>, DuplexStream, Frames) {
        let (server, client) = duplex(buffer);
        let (frames, body) = mpsc::unbounded_channel();
        let body = tokio_stream::wrappers::UnboundedReceiverStream::new(body);
        let answer = [(header::CONTENT_TYPE, "text/event-stream")];
        let answer = (answer, Body::from_stream(body.fuse())).into_response();
        (LastingAnswer::new(server, answer, UNREAD), client, frames)
    }

    async fn text(client: &mut DuplexStream) -> String {
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn an_answer_is_a_head_chunks_and_the_last_chunk() {
        let (answer, mut client, frames) = answering(4096);
        for frame in ["data: 1\n\n", "", ":\n\n"] {
            frames.send(Ok(frame)).unwrap();
        }
        drop(frames);
        let ((), text) = tokio::join!(answer, text(&mut client));
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"),
            "{head}"
        );
        assert!(head.ends_with("GMT\r\ntransfer-encoding: chunked\r\nconnection: close"), "{head}");
        assert_eq!(body, "9\r\ndata: 1\n\n\r\n3\r\n:\n\n\r\n0\r\n\r\n");
    }

    #[tokio::test]
    async fn a_body_that_fails_has_no_last_chunk() {
        let (answer, mut client, frames) = answering(4096);
        frames.send(Ok("a")).unwrap();
        frames.send(Err(io::ErrorKind::TimedOut.into())).unwrap();
        let ((), text) = tokio::join!(answer, text(&mut client));
        assert!(text.ends_with("1\r\na\r\n"), "{text}");
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_is_cut_and_what_it_reads_gives_it_more_time() {
        let (mut answer, mut client, frames) = answering(16);
        let mut ends = Vec::new();
        for _ in 0..2 {
            assert!((&mut answer).now_or_never().is_none());
            ends.push(answer.blocked.as_ref().unwrap().deadline());
            tokio::time::sleep(Duration::from_millis(2)).await;
            client.read_exact(&mut [0; 16]).await.unwrap();
        }
        assert!(ends[1] > ends[0]);

        answer.unread = Duration::from_millis(50);
        let began = tokio::time::Instant::now();
        answer.await;
        assert!(began.elapsed() >= Duration::from_millis(50));
        assert!(frames.is_closed(), "the body is dropped");
    }

    #[tokio::test]
    async fn a_client_that_leaves_or_sends_more_than_a_little_ends_it() {
        let (answer, client, _frames) = answering(4096);
        drop(client);
        answer.await;

        let (mut answer, mut client, frames) = answering(4096);
        client.write_all(&[b'x'; IGNORED_BYTES]).await.unwrap();
        for _ in 0..IGNORED_BYTES {
            assert!((&mut answer).now_or_never().is_none(), "it is ignored");
        }
        assert!(!frames.is_closed());
        client.write_all(b"x").await.unwrap();
        answer.await;
        assert!(frames.is_closed(), "the body is dropped");
    }
}
