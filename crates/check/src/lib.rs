//! Checks histories: every promise to a client against calls, events, store and ledger.
