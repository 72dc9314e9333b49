//! The gateway: HTTP, WebSockets, server-sent events and the waiting-room page.
