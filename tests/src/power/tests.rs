//! The model by itself: what is synced survives, what is not does not, and faults come when ordered.

use std::ffi::OsStr;

use fuser::Errno;

use super::disk::{Cut, Disk, Fault, Operation, PAGE_BYTES, ROOT, SECTOR_BYTES};

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

/// A disk with the synced file `a` of two pages of ones.
fn made() -> (Disk, u64) {
    let mut disk = Disk::default();
    let file = disk.create_file(ROOT, name("a")).unwrap().number;
    disk.write(file, 0, &[1; 2 * PAGE_BYTES]).unwrap();
    disk.sync(file, Operation::DataSync).unwrap();
    disk.sync_directory(ROOT).unwrap();
    (disk, file)
}

fn read(disk: &Disk, file: u64) -> Vec<u8> {
    disk.read(file, 0, 1 << 20).unwrap()
}

fn names(disk: &Disk) -> Vec<String> {
    disk.entries(ROOT).unwrap().into_iter().map(|(name, _)| name.into_string().unwrap()).collect()
}

#[test]
fn nothing_unsynced_survives_a_plain_cut() {
    let (mut disk, file) = made();
    disk.write(file, 10, &[2; PAGE_BYTES]).unwrap();
    disk.write(file, 2 * PAGE_BYTES as u64, &[3; 5]).unwrap();
    disk.create_file(ROOT, name("b")).unwrap();
    disk.rename(ROOT, name("a"), ROOT, name("c")).unwrap();
    assert_eq!((names(&disk), read(&disk, file).len()), (vec!["b".to_owned(), "c".to_owned()], 2 * PAGE_BYTES + 5));
    disk.cut(Cut::Drop, 0);
    assert_eq!(disk.lookup(ROOT, name("a")).unwrap_err(), Errno::EIO);
    disk.power_on();
    assert_eq!((names(&disk), read(&disk, file)), (vec!["a".to_owned()], vec![1; 2 * PAGE_BYTES]));
}

#[test]
fn a_synced_file_without_a_synced_name_is_gone() {
    let mut disk = Disk::default();
    let file = disk.create_file(ROOT, name("a")).unwrap().number;
    disk.write(file, 0, b"x").unwrap();
    disk.sync(file, Operation::Sync).unwrap();
    disk.cut(Cut::Drop, 0);
    disk.power_on();
    assert_eq!((names(&disk).len(), disk.facts(file).unwrap_err()), (0, Errno::ENOENT));
}

#[test]
fn a_random_cut_keeps_whole_pages_and_a_torn_one_whole_sectors() {
    for (cut, unit) in [(Cut::Random, PAGE_BYTES), (Cut::Torn, SECTOR_BYTES)] {
        let mut mixed = 0;
        for seed in 0..50 {
            let (mut disk, file) = made();
            disk.write(file, 0, &[2; 2 * PAGE_BYTES]).unwrap();
            disk.cut(cut, seed);
            disk.power_on();
            let bytes = read(&disk, file);
            assert!(bytes.chunks(unit).all(|part| part.iter().all(|byte| *byte == part[0])), "{cut:?} {seed}");
            mixed += usize::from(bytes.contains(&1) && bytes.contains(&2));
        }
        assert!(mixed > 10, "{cut:?} hardly mixes: {mixed}");
    }
}

#[test]
fn names_survive_in_any_mixture_or_up_to_a_moment() {
    let after = |cut, seed| {
        let (mut disk, _) = made();
        for file in ["b", "c", "d"] {
            disk.create_file(ROOT, name(file)).unwrap();
        }
        disk.remove(ROOT, name("a")).unwrap();
        disk.cut(cut, seed);
        disk.power_on();
        names(&disk).concat()
    };
    let seen = |cut| (0..200).map(|seed| after(cut, seed)).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(seen(Cut::Random).len(), 16);
    assert_eq!(seen(Cut::Torn).into_iter().collect::<Vec<_>>(), ["a", "ab", "abc", "abcd", "bcd"]);
}

#[test]
fn a_shrunk_file_grows_with_zeros() {
    let (mut disk, file) = made();
    disk.resize(file, 10).unwrap();
    disk.resize(file, 20).unwrap();
    assert_eq!(read(&disk, file), [[1; 10], [0; 10]].concat());
    disk.sync(file, Operation::DataSync).unwrap();
    disk.cut(Cut::Drop, 0);
    disk.power_on();
    assert_eq!(read(&disk, file), [[1; 10], [0; 10]].concat());
}

#[test]
fn a_failed_sync_forgets_and_the_next_one_lies() {
    let (mut disk, file) = made();
    disk.fail(Fault { operation: Operation::DataSync, skip: 0, count: 1, errno: Errno::EIO });
    disk.write(file, 0, &[2; PAGE_BYTES]).unwrap();
    assert_eq!(disk.sync(file, Operation::DataSync).unwrap_err(), Errno::EIO);
    assert_eq!((disk.sync(file, Operation::DataSync), read(&disk, file)[0]), (Ok(()), 2));
    disk.cut(Cut::Drop, 0);
    disk.power_on();
    assert_eq!(read(&disk, file)[0], 1);
}

#[test]
fn faults_and_cuts_come_after_as_many_calls_as_ordered() {
    let (mut disk, file) = made();
    disk.fail(Fault { operation: Operation::Write, skip: 1, count: 2, errno: Errno::ENOSPC });
    let answers: Vec<_> = (0..4).map(|_| disk.write(file, 0, b"x").is_ok()).collect();
    assert_eq!(answers, [true, false, false, true]);
    disk.plan_cut(Cut::Drop, 2, 0);
    disk.write(file, 0, b"y").unwrap();
    disk.sync(file, Operation::DataSync).unwrap();
    assert_eq!((disk.write(file, 0, b"z").unwrap_err(), disk.has_power()), (Errno::EIO, false));
    disk.power_on();
    assert_eq!((read(&disk, file)[0], disk.count(Operation::Write)), (b'y', 7));
}

#[test]
fn a_cache_that_is_short_of_room_writes_back_unasked() {
    let (mut disk, file) = made();
    disk.set_write_back(2, 1);
    for page in 0..2 {
        for _ in 0..20 {
            disk.write(file, page * PAGE_BYTES as u64, &[2; PAGE_BYTES]).unwrap();
        }
    }
    disk.cut(Cut::Drop, 0);
    disk.power_on();
    assert_eq!(read(&disk, file), vec![2; 2 * PAGE_BYTES]);
}
