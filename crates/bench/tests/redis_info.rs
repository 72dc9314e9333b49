//! Fields of INFO.

use bookingq_bench::redis_server::field;

#[test]
fn fields_of_info_are_read() {
    let info =
        "# CPU\r\nused_cpu_sys:1.5\r\nused_cpu_user:2.25\r\ncmdstat_evalsha:calls=12,usec=34\r\n";
    assert_eq!(field(info, "used_cpu_user:"), Some(2.25));
    assert_eq!(field(info, "cmdstat_evalsha:calls="), Some(12.0));
    assert_eq!(field(info, "cmdstat_eval:calls="), None);
}
