module bookingqueue.dev/examples/verify-pass

go 1.22
