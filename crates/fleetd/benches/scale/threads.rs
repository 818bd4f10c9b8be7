//! Threads of roles, by which the kernel and the allocator tell what each uses.

use std::sync::mpsc::channel;
use std::thread;

use tokio::runtime::{Builder, Handle};

use crate::memory;
use crate::role::Role;

/// A role's thread, with a runtime.
pub(crate) fn thread_of(role: Role) -> Handle {
    let (send, receive) = channel();
    let run = move || {
        memory::belongs_to(role);
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        send.send(runtime.handle().clone()).expect("somebody waits");
        runtime.block_on(std::future::pending::<()>());
    };
    let thread = thread::Builder::new().name(role.name().to_owned());
    thread.spawn(run).expect("a thread");
    receive.recv().expect("a runtime")
}
