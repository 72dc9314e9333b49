//! How `top` shows one reading: a block of lines for a terminal, one line elsewhere.

use bookingq_up::screen::{Sparkline, bold, dim, red};

use super::gateways::{GatewaysOutput, SendLag};
use crate::client::output::{QueueOutput, WorkersOutput};

/// Lines on items that the view shows: first those with the most clients that wait for them.
const ITEMS: usize = 8;
/// A gateway to which workers have sent nothing for so long shows old positions, in seconds.
const LATE: f64 = 5.0;

/// One line.
pub fn line(queue: &QueueOutput, gateways: Option<&GatewaysOutput>) -> String {
    let finals = queue.finals().iter().map(|(state, count)| format!(" {state}={count}"));
    format!(
        "{} waiting={} in_flight={} holds={} parked={} rate={:.1}/s{} oldest={} wait={}{}{}{}",
        queue.now.as_deref().unwrap_or_default(),
        queue.backlog,
        queue.in_flight,
        queue.holds,
        queue.parked,
        queue.rate,
        if queue.limited { " limited" } else { "" },
        queue.oldest(),
        queue.wait().replace(' ', "_"),
        finals.collect::<String>(),
        queue.workers.as_ref().map(worker_words).unwrap_or_default(),
        gateways.map(gateway_words).unwrap_or_default(),
    )
}

fn worker_words(workers: &WorkersOutput) -> String {
    let (ready, wanted) = (workers.ready, workers.wanted);
    let last = workers.last_scaling.as_ref();
    let last = last.map_or_else(String::new, |last| format!(" scaled={}", last.word()));
    format!(" workers={ready}/{wanted}{last}")
}

fn gateway_words(all: &GatewaysOutput) -> String {
    let rate = |name: &str, rate: Option<f64>| {
        rate.map_or_else(String::new, |rate| format!(" {name}={rate:.1}/s"))
    };
    let lag = match all.send_lag {
        None => String::new(),
        Some(SendLag::Within(seconds)) => format!(" send_lag<={seconds}s"),
        Some(SendLag::Over(seconds)) => format!(" send_lag>{seconds}s"),
    };
    let upstream = all.upstream_lag_seconds;
    format!(
        " gateways={}/{} websockets={} event_streams={}{}{}{lag}{} epoch_changes={}",
        all.answered,
        all.known,
        all.websockets,
        all.event_streams,
        rate("connecting", all.connecting_per_second),
        rate("refused", all.refused_per_second),
        upstream.map_or_else(String::new, |seconds| format!(" upstream_lag={seconds:.1}s")),
        all.epoch_changes,
    )
}

/// A block of lines.
pub fn block(
    queue: &QueueOutput,
    gateways: Option<&GatewaysOutput>,
    depth: &Sparkline,
) -> Vec<String> {
    let now = dim(queue.now.as_deref().unwrap_or_default());
    let limited = if queue.limited { "  at the limit of the outflow" } else { "" };
    let mut lines = vec![
        format!("{}  {}  {now}  {}", bold(&queue.queue), queue.admission, queue.sale().join("  ")),
        String::new(),
        format!("  waiting    {:>9}  {depth}", queue.backlog),
        format!("  parked     {:>9}", queue.parked),
        format!("  in flight  {:>9}", queue.in_flight),
        format!("  holds      {:>9}", queue.holds),
        format!(
            "  serving    {:>9}  oldest {}  {:.1}/s{limited}",
            queue.now_serving,
            queue.oldest(),
            queue.rate
        ),
        format!("  wait       {:>9}", queue.wait()),
    ];
    lines.extend(queue.workers.iter().flat_map(worker_lines));
    lines.push(String::new());
    lines.extend(queue.finals().chunks(3).map(|row| {
        let cells = row
            .iter()
            .map(|(state, count)| format!("  {:<10} {count:>9}", state.replace('_', " ")));
        cells.collect::<String>()
    }));
    lines.extend(queue.item_lines().take(ITEMS).map(|line| format!("  {line}")));
    if let Some(gateways) = gateways {
        lines.push(String::new());
        lines.extend(gateway_lines(gateways, &queue.queue));
    }
    lines.extend([String::new(), dim("  Ctrl-C stops this view")]);
    lines
}

fn worker_lines(workers: &WorkersOutput) -> Vec<String> {
    let ready = format!("  workers    {:>9}  are ready", workers.count());
    let ready = if workers.ready < workers.wanted { bold(&ready) } else { ready };
    let last = workers.last_scaling.iter().map(|last| format!("  scaled     {}", last.words()));
    [ready].into_iter().chain(last).collect()
}

fn gateway_lines(all: &GatewaysOutput, queue: &str) -> Vec<String> {
    if all.answered == 0 {
        return vec![red(&format!("  none of {} gateways answers", all.known))];
    }
    let rate = |rate: Option<f64>| rate.map_or("-".to_owned(), |rate| format!("{rate:.1}/s"));
    let answered = format!("{} of {}", all.answered, all.known);
    let lag = match all.send_lag {
        None => "-".to_owned(),
        Some(SendLag::Within(seconds)) => milliseconds("", seconds),
        Some(SendLag::Over(seconds)) => milliseconds("over ", seconds),
    };
    let open = all.websockets + all.event_streams;
    let mut lines = vec![
        format!("  gateways   {answered:>9}  answer"),
        format!(
            "  sockets    {open:>9}  {} WebSockets, {} event streams; at most {}",
            all.websockets, all.event_streams, all.max_connections
        ),
        format!("             {:>9}  of this queue", all.of_this_queue),
        format!(
            "  connecting {:>9}  refused {}",
            rate(all.connecting_per_second),
            rate(all.refused_per_second)
        ),
        format!("  send lag   {lag:>9}  of 99 of 100 frames"),
    ];
    lines.extend(upstream_lines(all, queue));
    if all.answered < all.known {
        lines[0] = red(&lines[0]);
    }
    lines
}

/// What the gateways hold of the workers.
fn upstream_lines(all: &GatewaysOutput, queue: &str) -> Vec<String> {
    let Some(seconds) = all.upstream_lag_seconds else {
        return vec![red(&format!("  none of these gateways serves {queue}"))];
    };
    let age = format!("{seconds:.1} s");
    let late = seconds > LATE;
    let old = if late { "; clients see old positions" } else { "" };
    let upstream = format!("  upstream   {age:>9}  since the workers' last message{old}");
    let mut lines = vec![if late { red(&upstream) } else { upstream }];
    if all.epoch_changes > 0 {
        let what = "times the data of the queue was lost";
        lines.push(red(&format!("  epochs     {:>9}  {what}", all.epoch_changes)));
    }
    lines
}

fn milliseconds(before: &str, seconds: f64) -> String {
    format!("{before}{} ms", seconds * 1000.0)
}

#[cfg(test)]
mod tests {
    use bookingq_proto::v1;

    use super::*;

    fn queue() -> QueueOutput {
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        v1::GetQueueResponse {
            queue: "concert".to_owned(),
            admission: v1::Admission::Open.into(),
            backlog: 1200,
            parked: 45,
            in_flight: 3,
            holds: 90,
            now_serving: 1042,
            oldest_wait: seconds(65),
            rate: 9.9,
            outflow: Some(v1::Outflow { per_minute: 600, ..Default::default() }),
            eta: seconds(121),
            eta_range: Some(v1::EtaRange { low: seconds(100), high: seconds(150) }),
            totals: Some(v1::QueueTotals { confirmed: 1000, expired: 42, ..Default::default() }),
            items: vec![v1::ItemStatus {
                item: "stalls".to_owned(),
                availability: v1::ItemAvailability::SoldOutAtTheMoment.into(),
                sold_out_from: 1,
                unsettled: 12,
                waiting: 45,
                left: Some(0),
            }],
            now: Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 }),
            workforce: Some(v1::Workforce {
                wanted: 5,
                ready: 4,
                last_scaling: Some(v1::WorkforceChange {
                    at: Some(prost_types::Timestamp { seconds: 1_799_999_910, nanos: 0 }),
                    from: 2,
                    to: 5,
                    reason: "Demand".to_owned(),
                    note: "1200 in line".to_owned(),
                }),
            }),
            ..Default::default()
        }
        .into()
    }

    fn gateways() -> GatewaysOutput {
        GatewaysOutput {
            known: 3,
            answered: 3,
            serving: 3,
            websockets: 1180,
            event_streams: 12,
            max_connections: 49_152,
            of_this_queue: 1100,
            connecting_per_second: Some(42.04),
            refused_per_second: Some(0.0),
            send_lag: Some(SendLag::Within(0.025)),
            upstream_lag_seconds: Some(0.31),
            epoch_changes: 0,
        }
    }

    fn drawn(gateways: Option<&GatewaysOutput>) -> String {
        let mut depth = Sparkline::default();
        for waiting in [100, 700, 1200] {
            depth.push(waiting);
        }
        // Standard output of a test is no terminal, so nothing is styled.
        block(&queue(), gateways, &depth).join("\n") + "\n"
    }

    #[test]
    fn a_queue_with_its_gateways_is_drawn_so() {
        let expected = "\
concert  Open  2027-01-15T08:00:00Z  outflow 600 a minute

  waiting         1200  ▂▅█
  parked            45
  in flight          3
  holds             90
  serving         1042  oldest 1m5s  9.9/s  at the limit of the outflow
  wait       1m40s to 2m30s
  workers       4 of 5  are ready
  scaled     2 -> 5, 1m30s ago: 1200 in line (Demand)

  confirmed       1000  expired           42  cancelled          0
  sold out           0  rejected           0  failed             0
  stalls: sold out at the moment; 12 reservations are unpaid, 45 wait, 0 left

  gateways      3 of 3  answer
  sockets         1192  1180 WebSockets, 12 event streams; at most 49152
                  1100  of this queue
  connecting    42.0/s  refused 0.0/s
  send lag       25 ms  of 99 of 100 frames
  upstream       0.3 s  since the workers' last message

  Ctrl-C stops this view
";
        assert_eq!(drawn(Some(&gateways())), expected);
    }

    #[test]
    fn what_is_wrong_with_gateways_is_drawn_so() {
        let all = GatewaysOutput {
            answered: 2,
            connecting_per_second: None,
            refused_per_second: None,
            send_lag: Some(SendLag::Over(5.0)),
            upstream_lag_seconds: Some(12.0),
            epoch_changes: 1,
            ..gateways()
        };
        let expected = [
            "  gateways      2 of 3  answer",
            "  sockets         1192  1180 WebSockets, 12 event streams; at most 49152",
            "                  1100  of this queue",
            "  connecting         -  refused -",
            "  send lag   over 5000 ms  of 99 of 100 frames",
            "  upstream      12.0 s  since the workers' last message; clients see old positions",
            "  epochs             1  times the data of the queue was lost",
        ];
        assert_eq!(gateway_lines(&all, "concert"), expected);
        let silent = GatewaysOutput { known: 3, ..Default::default() };
        assert_eq!(gateway_lines(&silent, "concert"), ["  none of 3 gateways answers"]);
        let other = GatewaysOutput { upstream_lag_seconds: None, ..gateways() };
        let lines = gateway_lines(&other, "concert");
        assert_eq!(lines.last().unwrap(), "  none of these gateways serves concert");
    }

    #[test]
    fn without_a_terminal_it_is_one_line() {
        let text = line(&queue(), Some(&gateways()));
        assert_eq!(
            text,
            "2027-01-15T08:00:00Z waiting=1200 in_flight=3 holds=90 parked=45 rate=9.9/s limited \
             oldest=1m5s wait=1m40s_to_2m30s confirmed=1000 expired=42 cancelled=0 sold_out=0 \
             rejected=0 failed=0 workers=4/5 scaled=2->5,Demand gateways=3/3 websockets=1180 event_streams=12 connecting=42.0/s \
             refused=0.0/s send_lag<=0.025s upstream_lag=0.3s epoch_changes=0"
        );
        assert!(!line(&queue(), None).contains("gateways"));
    }
}
