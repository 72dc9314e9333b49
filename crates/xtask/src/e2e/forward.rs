//! HTTP requests to a Service of the cluster, through `kubectl port-forward`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::cluster::NAMESPACE;

const DEADLINE: Duration = Duration::from_secs(10);

/// An open forward; it ends when it is dropped.
pub struct Forward {
    kubectl: Child,
    address: SocketAddr,
    /// kubectl writes a line for each connection, and dies when there is no reader.
    _output: BufReader<ChildStdout>,
}

impl Forward {
    /// Forwards a free port of this machine to `port` of `target`, such as `service/a`.
    pub fn open(target: &str, port: u16) -> Result<Self> {
        let mut kubectl = Command::new("kubectl")
            .args(["port-forward", "--namespace", NAMESPACE, target, &format!(":{port}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("kubectl port-forward could not be started")?;
        let mut output = BufReader::new(kubectl.stdout.take().context("kubectl has no output")?);
        let mut line = String::new();
        // kubectl prints this line once it listens, or ends.
        output.read_line(&mut line)?;
        let address = line.split_whitespace().nth(2).and_then(|address| address.parse().ok());
        let address = address
            .with_context(|| format!("kubectl port-forward {target} printed {:?}", line.trim()));
        match address {
            Ok(address) => Ok(Self { kubectl, address, _output: output }),
            Err(error) => {
                kubectl.kill().ok();
                kubectl.wait().ok();
                Err(error)
            }
        }
    }

    /// Sends a request with a JSON body and returns the JSON of the answer, which must have this
    /// status.
    pub fn json(
        &self,
        method: &str,
        path: &str,
        headers: &[[&str; 2]],
        body: &str,
        status: u16,
    ) -> Result<Value> {
        let answer = self.send(method, path, headers, body);
        let answer = answer.with_context(|| format!("{method} {path}"))?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let found = head.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok());
        if found != Some(status) {
            bail!("{method} {path} was answered {found:?}, not {status}: {body}");
        }
        serde_json::from_str(body).with_context(|| format!("{method} {path} is not JSON: {body}"))
    }

    fn send(&self, method: &str, path: &str, headers: &[[&str; 2]], body: &str) -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n",
            self.address,
            body.len()
        );
        let headers: Vec<String> =
            headers.iter().map(|[name, value]| format!("{name}: {value}\r\n")).collect();
        stream.write_all(format!("{request}{}\r\n{body}", headers.concat()).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.kubectl.kill().ok();
        self.kubectl.wait().ok();
    }
}
