//! What of a journal counts: after a stop at any byte, after turns, and when files are damaged.

use std::fs;
use std::path::Path;

use super::*;
use crate::engine::conformance::batch;

/// A small frame.
const FRAME_BYTES: u64 = 128;
/// Four small frames fill a part, and as many as are behind its beginning then one that must not give way yet.
const PART_BYTES: u64 = FRAMES_AT as u64 + 4 * FRAME_BYTES;
const FRAMES_MAX: u64 = (PART_MAX * PART_BYTES - FRAMES_AT as u64) / FRAME_BYTES;

fn open(dir: &Path, applied: Option<u64>) -> Result<(Journal, Vec<Frame>), EngineError> {
    Journal::open(dir, applied, PART_BYTES, Guards::all())
}

fn numbered(number: u64) -> Batch {
    batch(&[("key", &format!("{number:080}"))], &["gone"])
}

fn never(_: u64) -> Result<(), EngineError> {
    panic!("the part has room")
}

/// Appends frames up to `last`, while the rows follow no more than they are asked to; returns what that was, and the frames.
fn fill_late(journal: &mut Journal, applied: u64, last: u64) -> (Vec<u64>, Vec<Frame>) {
    let (mut applied, mut waits, mut frames) = (applied, Vec::new(), Vec::new());
    while journal.last() < last {
        let next = numbered(journal.last() + 1);
        let wait = |number| {
            waits.push(number);
            Ok(())
        };
        frames.push(journal.append(&next, applied, wait).unwrap());
        applied = waits.last().copied().unwrap_or(applied);
    }
    (waits, frames)
}

/// Appends frames up to `last`, while the rows follow so closely that nobody waits.
fn fill(journal: &mut Journal, last: u64) {
    while journal.last() < last {
        journal.append(&numbered(journal.last() + 1), journal.last(), never).unwrap();
    }
}

/// Returns the numbers of `frames`, after reading them all.
fn numbers(frames: &[Frame]) -> Vec<u64> {
    for frame in frames {
        let changes = Changes::read(std::slice::from_ref(frame)).unwrap();
        let value = format!("{:080}", frame.number);
        let expected: [(&[u8], Option<Bytes>); 2] = [(b"gone", None), (b"key", Some(Bytes::from(value)))];
        assert_eq!(changes.rows().unwrap().into_iter().collect::<Vec<_>>(), expected);
    }
    frames.iter().map(|frame| frame.number).collect()
}

/// Changes bytes of one of the files.
fn change(dir: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(dir.join(name)).unwrap();
    change(&mut bytes);
    fs::write(dir.join(name), bytes).unwrap();
}

fn why(opened: Result<(Journal, Vec<Frame>), EngineError>) -> String {
    match opened.err().expect("opened") {
        EngineError::Corrupt(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_applied_comes_back_in_order_whatever_the_turn() {
    for last in (1..30).chain([FRAMES_MAX + 3, FRAMES_MAX + 40, 3 * FRAMES_MAX]) {
        for follows in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let (mut journal, frames) = open(dir.path(), None).unwrap();
            assert!(frames.is_empty());
            let mut applied_at_least = last.saturating_sub(4);
            if follows {
                fill(&mut journal, last);
            } else {
                let (waits, frames) = fill_late(&mut journal, 0, last);
                assert!(waits.iter().all(|wait| *wait < last), "waited for what is not written");
                applied_at_least = waits.last().copied().unwrap_or_default();
                assert_eq!(
                    numbers(&frames[usize::try_from(applied_at_least).unwrap()..]).len() as u64,
                    last - applied_at_least
                );
            }
            drop(journal);
            // Both parts may hold what is not applied: the one that is written, and the one before it.
            for applied in [applied_at_least, applied_at_least.midpoint(last), last] {
                let (journal, frames) = open(dir.path(), Some(applied)).unwrap();
                assert_eq!(numbers(&frames), (applied + 1..=last).collect::<Vec<_>>());
                assert_eq!(journal.last(), last);
            }
        }
    }
}

#[test]
fn a_part_is_written_again_only_when_its_frames_are_applied() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), None).unwrap();
    // The second part is free when its turn comes. The first one has four frames that the rows do not have, so that the
    // second grows, until it may not any more.
    assert_eq!(fill_late(&mut journal, 0, 4 + FRAMES_MAX).0, [0_u64; 0]);
    let full = EngineError::Full("later".to_owned());
    let refused = journal.append(&numbered(5 + FRAMES_MAX), 3, |number| {
        assert_eq!(number, 4);
        Err(full.clone())
    });
    assert_eq!(refused.err(), Some(full));
    drop(journal);
    let (mut journal, frames) = open(dir.path(), Some(3)).unwrap();
    assert_eq!(numbers(&frames), (4..=4 + FRAMES_MAX).collect::<Vec<_>>());
    assert_eq!(fill_late(&mut journal, 3, 5 + FRAMES_MAX).0, [4]);
    // As soon as the rows have all of the other one, it is its turn.
    fill(&mut journal, 9 + FRAMES_MAX);
    assert_eq!(journal.parts.each_ref().map(|part| part.newest), [8 + FRAMES_MAX, 9 + FRAMES_MAX]);
}

#[test]
fn frames_that_follow_each_other_are_read_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), None).unwrap();
    let mut frames = fill_late(&mut journal, 0, 10).1;
    frames.drain(5..7);
    let changes = Changes::read(&frames).unwrap();
    // Four in the first file; in the second one before and three behind what was left out.
    assert_eq!(changes.buffers.iter().map(Bytes::len).collect::<Vec<_>>(), [4 * 128, 128, 3 * 128]);
    assert_eq!(changes.rows().unwrap()[&b"key"[..]], Some(Bytes::from(format!("{:080}", 10))));
}

#[test]
fn what_was_put_and_removed_is_as_it_was_left_last() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), None).unwrap();
    let frames = [
        batch(&[("a", "1"), ("b", "1")], &["c"]),
        batch(&[("b", "2"), ("c", "2")], &["a"]),
        batch(&[("a", "3"), ("a", "4")], &["b"]),
    ]
    .map(|batch| journal.append(&batch, 0, never).unwrap());
    let changes = Changes::read(&frames).unwrap();
    let rows: Vec<_> = changes.rows().unwrap().into_iter().collect();
    assert_eq!(
        rows,
        [(&b"a"[..], Some(Bytes::from_static(b"4"))), (b"b", None), (b"c", Some(Bytes::from_static(b"2")))]
    );
}

#[test]
fn a_frame_that_changed_on_disk_is_not_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), None).unwrap();
    let frames = fill_late(&mut journal, 0, 3).1;
    let file = File::options().write(true).open(dir.path().join("journal-0")).unwrap();
    file.write_all_at(b"X", FRAMES_AT as u64 + FRAME_BYTES + 40).unwrap();
    assert_eq!(Changes::read(&frames).err(), Some(EngineError::Corrupt("batch 2 is not what was written".to_owned())));
    file.set_len(FRAMES_AT as u64).unwrap();
    let short = Changes::read(&frames).err().unwrap().to_string();
    assert!(short.starts_with("cannot read batches 1 to 3 back: "), "{short}");
}

#[test]
fn a_frame_that_was_written_over_is_not_taken_for_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), None).unwrap();
    let frames = fill_late(&mut journal, 0, 1).1;
    // Nine is where one was, in the same file, and whole.
    fill(&mut journal, 9);
    assert_eq!(Changes::read(&frames).err(), Some(EngineError::Corrupt("batch 1 is not what was written".to_owned())));
}

#[test]
fn writing_goes_on_after_an_open_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let mut applied = None;
    for last in 1..3 * FRAMES_MAX {
        let (mut journal, frames) = open(dir.path(), applied).unwrap();
        assert_eq!(numbers(&frames), (applied.unwrap_or_default() + 1..last).collect::<Vec<_>>());
        // As late as it may be: what somebody waited for, or what was there at first.
        let before = applied.unwrap_or_default();
        applied = Some(fill_late(&mut journal, before, last).0.last().copied().unwrap_or(before));
    }
}

#[test]
fn a_frame_that_was_cut_off_anywhere_never_was() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), None).unwrap();
    fill(&mut journal, 2);
    let end = usize::try_from(journal.parts[0].end).unwrap();
    drop(journal);
    let whole = fs::read(dir.path().join("journal-0")).unwrap();
    let start = usize::midpoint(FRAMES_AT, end);
    // The padding at its end carries nothing.
    for cut in start..end - ALIGNMENT {
        change(dir.path(), "journal-0", |bytes| bytes[cut..].fill(0));
        let (mut journal, frames) = open(dir.path(), Some(0)).unwrap();
        assert_eq!(numbers(&frames), [1], "cut at {cut}");
        journal.append(&numbered(2), 0, never).unwrap();
        drop(journal);
        assert_eq!(fs::read(dir.path().join("journal-0")).unwrap(), whole);
    }
}

#[test]
fn without_the_checksum_a_torn_frame_is_taken_for_a_whole_one() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), None).unwrap();
    fill(&mut journal, 2);
    let torn = usize::try_from(journal.parts[0].end).unwrap() - "0000".len() - "gone".len() - ALIGNMENT;
    drop(journal);
    change(dir.path(), "journal-0", |bytes| bytes[torn] ^= 1);
    for (guards, expected) in [(Guards::all(), 1), (Guards::without(Guard::JournalChecksum), 2)] {
        let (_, frames) = Journal::open(dir.path(), Some(0), PART_BYTES, guards).unwrap();
        assert_eq!(frames.len(), expected);
    }
}

#[test]
fn a_frame_larger_than_a_part_gets_its_room() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), None).unwrap();
    let large = Batch { puts: vec![(b"large".to_vec(), Bytes::from(vec![7; 4096])); 20], deletes: Vec::new() };
    for _ in 0..3 {
        journal.append(&large, 0, |_| Ok(())).unwrap();
        fill(&mut journal, 7);
    }
    let last = journal.last();
    drop(journal);
    let (_, frames) = open(dir.path(), Some(last - 1)).unwrap();
    assert_eq!(frames.len(), 1);
}

#[test]
fn every_changed_bit_before_the_last_frame_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), None).unwrap();
    fill(&mut journal, 3);
    let end = usize::try_from(journal.parts[0].end).unwrap();
    drop(journal);
    let frame = (end - FRAMES_AT) / 3;
    let carried = FRAME_HEADER_BYTES + 4 + 2 + 2 + "key".len() + 80 + 4 + 2 + "gone".len();
    let places = (0..2).flat_map(|number| FRAMES_AT + number * frame..FRAMES_AT + number * frame + carried);
    for at in places {
        change(dir.path(), "journal-0", |bytes| bytes[at] ^= 16);
        let why = why(open(dir.path(), Some(0)));
        assert!(why.contains("is missing in the journal in"), "{why}");
        // What the rows have already is nobody's loss.
        assert_eq!(numbers(&open(dir.path(), Some(2)).unwrap().1), [3]);
        change(dir.path(), "journal-0", |bytes| bytes[at] ^= 16);
    }
    assert_eq!(numbers(&open(dir.path(), Some(0)).unwrap().1), [1, 2, 3]);
}

#[test]
fn a_file_that_is_missing_or_another_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), None).unwrap());
    for name in NAMES {
        let bytes = fs::read(dir.path().join(name)).unwrap();
        fs::remove_file(dir.path().join(name)).unwrap();
        let missing = why(open(dir.path(), Some(0)));
        assert!(missing.ends_with("is missing; it may hold the newest changes") && missing.contains(name), "{missing}");
        for other in [&b""[..], b"short", &[0; 5000]] {
            fs::write(dir.path().join(name), other).unwrap();
            assert!(why(open(dir.path(), Some(0))).ends_with("is no journal of this program"));
        }
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    assert!(open(dir.path(), Some(0)).is_ok());
}

#[test]
fn a_first_open_that_was_cut_short_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), None).unwrap());
    fs::remove_file(dir.path().join("journal-1")).unwrap();
    fs::write(dir.path().join("journal-1.unfinished"), "half").unwrap();
    let (mut journal, _) = open(dir.path(), None).unwrap();
    fill(&mut journal, 9);
    assert!(!dir.path().join("journal-1.unfinished").exists());
}

#[test]
fn nothing_that_a_batch_holds_passes_for_a_frame() {
    for shift in 0..ALIGNMENT {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(dir.path(), None).unwrap();
        // A whole frame with the next number, made with a salt that its author had to guess.
        let mut value = vec![0; shift];
        let mut forged = Vec::new();
        encode(&batch(&[("key", "forged")], &[]), &mut forged);
        seal(&mut forged, journal.parts[0].salt ^ 1, 1);
        value.extend_from_slice(&forged);
        journal
            .append(&Batch { puts: vec![(b"key".to_vec(), Bytes::from(value))], deletes: Vec::new() }, 0, never)
            .unwrap();
        drop(journal);
        // Without the frame around it the search for frames comes by.
        change(dir.path(), "journal-0", |bytes| bytes[FRAMES_AT] ^= 1);
        assert!(open(dir.path(), Some(0)).unwrap().1.is_empty());
    }
}

#[test]
fn begun_afresh_nothing_of_before_is_in_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), None).unwrap();
    fill(&mut journal, 7);
    journal.begin_afresh().unwrap();
    for name in NAMES {
        let bytes = fs::read(dir.path().join(name)).unwrap();
        assert!(bytes.len() == FRAMES_AT && !bytes.windows(4).any(|window| window == b"0007"));
    }
    let has_less = "the rows have batches up to 6 only, although the journal in";
    for applied in [Some(6), Some(0), None] {
        let expected = has_less.replace('6', &applied.unwrap_or_default().to_string());
        assert!(why(open(dir.path(), applied)).starts_with(&expected), "no frame misses what {applied:?} lacks");
    }
    assert_eq!(numbers(&open(dir.path(), Some(7)).unwrap().1), [0; 0]);
    fill(&mut journal, 9);
    drop(journal);
    assert_eq!(numbers(&open(dir.path(), Some(7)).unwrap().1), [8, 9]);
    assert!(why(open(dir.path(), Some(6))).starts_with(has_less));
}

#[test]
fn every_bit_of_a_header_matters_and_headers_of_before_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), None).unwrap();
    fill(&mut journal, 3);
    drop(journal);
    let whole = fs::read(dir.path().join("journal-0")).unwrap();
    for bit in 0..28 * 8 {
        change(dir.path(), "journal-0", |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        // Of the magic, two bits make it that of a header without a checksum.
        if bit / 8 != 7 {
            assert!(why(open(dir.path(), Some(0))).ends_with("is no journal of this program"), "bit {bit}");
        }
        fs::write(dir.path().join("journal-0"), &whole).unwrap();
    }
    change(dir.path(), "journal-0", |bytes| {
        bytes[..8].copy_from_slice(MAGIC_SALT_ONLY);
        bytes[16..28].fill(0);
    });
    assert_eq!(numbers(&open(dir.path(), Some(1)).unwrap().1), [2, 3]);
}
