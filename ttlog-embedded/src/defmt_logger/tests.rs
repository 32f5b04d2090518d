extern crate std;

use std::vec::Vec;

use super::*;

/// Ends the innermost frame, and returns it and whether it was the outermost.
fn end<const N: usize>(frames: &Frames<N>) -> (Result<Vec<u8>, DropReason>, bool) {
    let mut ended = None;
    let is_outermost = frames.end(|frame| ended = Some(frame.map(<[u8]>::to_vec)));
    (ended.expect("there is a frame"), is_outermost)
}

#[test]
fn pieces_make_a_frame() {
    let frames = Frames::<8>::new();
    assert_eq!(frames.begin(), 0);
    frames.write(b"ab");
    frames.write(b"");
    frames.write(b"cdefgh");
    assert_eq!(end(&frames), (Ok(b"abcdefgh".to_vec()), true));
    assert_eq!(frames.begin(), 0);
    assert_eq!(end(&frames), (Ok(Vec::new()), true));
}

#[test]
fn frame_without_room_is_too_large_and_the_next_one_is_not() {
    let frames = Frames::<4>::new();
    frames.begin();
    frames.write(b"abc");
    frames.write(b"de");
    frames.write(b"f"); // would fit, but then the frame would have a hole
    assert_eq!(end(&frames), (Err(DropReason::TooLarge), true));
    frames.begin();
    frames.write(b"abcd");
    assert_eq!(end(&frames), (Ok(b"abcd".to_vec()), true));
}

#[test]
fn nested_frames_leave_the_others_alone() {
    let frames = Frames::<9>::new();
    frames.begin();
    frames.write(b"ab");
    assert_eq!(frames.begin(), 1);
    frames.write(b"123");
    assert_eq!(frames.begin(), 2);
    frames.write(b"xyz..");
    assert_eq!(end(&frames), (Err(DropReason::TooLarge), false));
    frames.write(b"4567");
    assert_eq!(end(&frames), (Ok(b"1234567".to_vec()), false));
    frames.write(b"cdefghi");
    assert_eq!(end(&frames), (Ok(b"abcdefghi".to_vec()), true));
}

#[test]
fn too_deep_frames_are_reentrant() {
    let frames = Frames::<64>::new();
    for depth in 0..20 {
        assert_eq!(frames.begin(), depth);
        frames.write(&[depth]);
    }
    for depth in (0..20).rev() {
        let expected = if depth < 4 { Ok([depth].to_vec()) } else { Err(DropReason::Reentrant) };
        assert_eq!(end(&frames), (expected, depth == 0), "depth {depth}");
    }
}

#[test]
fn calls_out_of_turn_do_nothing() {
    let frames = Frames::<4>::new();
    frames.write(b"ab");
    assert!(!frames.end(|_| panic!("there is no frame")));
    frames.begin();
    assert_eq!(end(&frames), (Ok(Vec::new()), true));
}

/// Frames nest at every step: between pieces, and while the frame is passed on.
#[test]
fn random_nests() {
    fn context(frames: &Frames<200>, rng: &mut fastrand::Rng, depth: u8) {
        frames.begin();
        let mut expected = Vec::new();
        for _ in 0..rng.usize(..5) {
            let piece: Vec<u8> = (0..rng.usize(..12)).map(|_| rng.u8(..)).collect();
            frames.write(&piece);
            expected.extend(piece);
            if depth < 3 && rng.bool() {
                context(frames, rng, depth + 1);
            }
        }
        let is_outermost = frames.end(|frame| {
            if depth < 3 {
                context(frames, rng, depth + 1);
            }
            assert_eq!(frame, Ok(&expected[..]));
        });
        assert_eq!(is_outermost, depth == 0);
    }
    let frames = Frames::new();
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..2000 {
        context(&frames, &mut rng, 0);
        assert_eq!((frames.used.load(Ordering::Relaxed), frames.depth.load(Ordering::Relaxed)), (0, 0));
    }
}

#[test]
fn room_is_as_long_as_the_environment_said() {
    assert_eq!((room_len(None), room_len(Some("1024"))), (256, 1024));
}
