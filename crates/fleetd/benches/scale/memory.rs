//! Whose memory it is: each block remembers the role whose thread asked for it, whoever gives it back.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::role::Role;

#[global_allocator]
static COUNTED: Counted = Counted;

/// Bytes in use, by role.
static HELD: [AtomicUsize; 5] = [const { AtomicUsize::new(0) }; 5];

thread_local! {
    static ROLE: Cell<Role> = const { Cell::new(Role::Bench) };
}

/// From now on this thread works for a role.
pub(crate) fn belongs_to(role: Role) {
    ROLE.set(role);
}

/// How many bytes a role has asked for and nobody has given back.
pub(crate) fn held(role: Role) -> usize {
    HELD[role as usize].load(Relaxed)
}

/// The system's allocator, with the role written before each block.
struct Counted;

/// The block with room for the role before it, and how much that is: so much that the alignment stays.
fn extended(layout: Layout) -> Option<(Layout, usize)> {
    let before = layout.align().max(align_of::<usize>());
    let size = layout.size().checked_add(before)?;
    Some((Layout::from_size_align(size, before).ok()?, before))
}

// SAFETY: every block is one of the system's allocator, from its first byte plus `before` on, of the size and at least
// the alignment that were asked for; `dealloc` gets the layout of `alloc`, and so finds the same `before`.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((whole, before)) = extended(layout) else {
            return std::ptr::null_mut();
        };
        // SAFETY: the layout is not empty, as `before` is not
        let start = unsafe { System.alloc(whole) };
        if start.is_null() {
            return start;
        }
        // a thread that ends has no role any more
        let role = ROLE.try_with(Cell::get).unwrap_or(Role::Bench) as usize;
        HELD[role].fetch_add(layout.size(), Relaxed);
        // SAFETY: `before` bytes are there, aligned for a usize
        unsafe {
            start.cast::<usize>().write(role);
            start.add(before)
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some((whole, before)) = extended(layout) else {
            return;
        };
        // SAFETY: `alloc` wrote the role there, and `start` is what the system gave
        unsafe {
            let start = block.sub(before);
            let role = start.cast::<usize>().read();
            HELD[role].fetch_sub(layout.size(), Relaxed);
            System.dealloc(start, whole);
        }
    }
}
