//! A console is read whatever fails, and a guest that floods it is held back.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use super::*;

type Pieces = VecDeque<Result<Vec<u8>, ConsoleError>>;

/// Consoles that give these pieces, one after the other; then the domain is gone.
#[derive(Clone)]
struct Script(Rc<RefCell<Pieces>>);

impl Script {
    fn new(pieces: Vec<Result<&[u8], ConsoleError>>) -> Self {
        let pieces = pieces.into_iter().map(|piece| piece.map(<[u8]>::to_vec));
        Self(Rc::new(RefCell::new(pieces.collect())))
    }
}

impl Source for Script {
    fn read(&self, buffer: &mut [u8], _: Duration) -> Result<ConsoleRead, ConsoleError> {
        match self.0.borrow_mut().pop_front() {
            Some(Ok(bytes)) => {
                buffer[..bytes.len()].copy_from_slice(&bytes);
                Ok(ConsoleRead::Data(bytes.len()))
            }
            Some(Err(error)) => Err(error),
            None => Ok(ConsoleRead::Closed),
        }
    }
}

fn busy() -> ConsoleError {
    ConsoleError::Channel(io::Error::from_raw_os_error(16))
}

#[test]
fn a_console_that_fails_is_attached_again_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let consoles = Consoles::open(dir.path()).unwrap();
    let guest = GuestId::random();
    let script = Script::new(vec![Ok(b"one "), Err(busy()), Ok(b"two")]);
    let attached = Cell::new(0);
    let attach = || {
        attached.set(attached.get() + 1);
        match attached.get() {
            1 => Err(busy()),
            _ => Ok(script.clone()),
        }
    };
    pump(
        &attach,
        &mut Sink::new(guest, &consoles),
        &AtomicBool::new(false),
    );
    assert_eq!(attached.get(), 3);
    assert_eq!(
        consoles.log(guest).unwrap().read(0).unwrap().data,
        b"one two"
    );
}

#[test]
fn what_was_printed_before_the_end_is_read_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let consoles = Consoles::open(dir.path()).unwrap();
    let guest = GuestId::random();
    let script = Script::new(vec![Ok(b"last words")]);
    let attach = || Ok(script.clone());
    pump(
        &attach,
        &mut Sink::new(guest, &consoles),
        &AtomicBool::new(true),
    );
    let log = consoles.log(guest).unwrap();
    assert_eq!(log.read(0).unwrap().data, b"last words");
}

#[test]
fn a_log_that_cannot_be_kept_does_not_stop_the_reading() {
    let dir = tempfile::tempdir().unwrap();
    let consoles = Consoles::open(&dir.path().join("gone")).unwrap();
    std::fs::remove_dir(dir.path().join("gone")).unwrap();
    let script = Script::new(vec![Ok(b"one"), Ok(b"two")]);
    let attach = || Ok(script.clone());
    let mut sink = Sink::new(GuestId::random(), &consoles);
    pump(&attach, &mut sink, &AtomicBool::new(false));
    assert!(script.0.borrow().is_empty(), "the ring was not emptied");
    assert!(sink.losing);
}

#[test]
fn a_flood_is_held_back_to_its_allowance() {
    let began = Instant::now();
    let mut allowance = Allowance::new(began);
    let mut now = began;
    let mut reads = 0;
    while now < began + Duration::from_secs(2) {
        // Each read takes no time: as bad as it gets.
        now += allowance.spend(now).unwrap_or_default();
        reads += 1;
    }
    assert_eq!(reads, 10 * READS_A_PERIOD);
    // Who prints little never waits.
    for _ in 0..1000 {
        now += PERIOD / 8;
        assert_eq!(allowance.spend(now), None);
    }
}
