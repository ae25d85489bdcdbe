use super::*;
extern crate std;
use std::string::ToString;

const OWNER: Owner<'_> = Owner { tenant: "t", principal: "p", upstream: "shop", tool: "refund" };
const RUN: RunId = RunId([1; 16]);
const OTHER_RUN: RunId = RunId([2; 16]);

/// They are stored and sent: a change makes every old step run again.
#[test]
fn golden_keys() {
    let step = step_key(&OWNER, &Id::Explicit("key-1"));
    assert_eq!(step.to_string(), "3711b835815b8b1f263b6960e14cf77896fb3a802b9c99b8000fa7bfcb02d603");
    assert_eq!(
        step_key(&OWNER, &Id::ModelCall { id: "call_0", run: RUN }).to_string(),
        "9ac3c0096e1a37171f7e03865a51aec13ced2a27bd30f7c8aa58c196cb2b4560"
    );
    assert_eq!(
        step_key(&OWNER, &Id::Position { run: RUN, step: "3" }).to_string(),
        "5074bd82308677dd985243fab97b2568b0587e72feb27e218844d0b41d1f80e8"
    );
    assert_eq!(
        step_key(&OWNER, &Id::Fresh(StepId([7; 16]))).to_string(),
        "5aca22f6343f0950f116b57b3e86b4172bd4afff8d6838a3e24e6521556677b7"
    );
    assert_eq!(&*upstream_key(&step, 0), "3a79c203-6361-85fc-8470-263df2130ad3");
    assert_eq!(
        leg_key(&step, b"\"state\"", &Hash([9; 32])).to_string(),
        "ff0b137430676e21f6502364a4d7e03236ef2c6d8fc3d2cce6a9cfed9fad2960"
    );
    assert_eq!(
        scope("t", "p", Within::Run(RUN)).to_string(),
        "08c0cdec6e63419a150515dcec917833fb2d0f5716a75ceb05d9860cb9a24a73"
    );
    assert_eq!(
        content("shop", "refund", &Hash([9; 32])).to_string(),
        "63a4ca6b52fb2120f2a676f527532878775db50c1af73a7e6cf027117bcbcb05"
    );
    assert_eq!(run_id("t", "p", "run-1").to_string(), "159cb306-926b-9d6d-1ce0-71d2db3ed461");
}

//= S-09
#[test]
fn no_two_callers_share_a_key() {
    let key =
        |tenant, principal, upstream, tool| step_key(&Owner { tenant, principal, upstream, tool }, &Id::Explicit("k"));
    let all = [
        key("t", "p", "u", "x"),
        key("t2", "p", "u", "x"),
        key("t", "p2", "u", "x"),
        key("t", "p", "u2", "x"),
        key("t", "p", "u", "x2"),
        key("tp", "", "u", "x"),
        key("t", "pu", "", "x"),
    ];
    for (index, one) in all.iter().enumerate() {
        assert!(!all[..index].contains(one), "{index}");
    }
}

//= S-23
#[test]
fn a_random_call_id_survives_a_new_run_and_a_counted_one_does_not() {
    let key = |id, run| step_key(&OWNER, &Id::ModelCall { id, run });
    assert_eq!(key("toolu_01A09q90qw90lq917835lq9", RUN), key("toolu_01A09q90qw90lq917835lq9", OTHER_RUN));
    assert_ne!(key("call_0", RUN), key("call_0", OTHER_RUN));
    assert_ne!(key("call_0", RUN), step_key(&OWNER, &Id::Position { run: RUN, step: "call_0" }));
}

#[test]
fn only_ids_that_look_drawn_are_taken_for_random() {
    for id in [
        "toolu_01A09q90qw90lq917835lq9",
        "toolu_bdrk_01NnoUBGZfxnYBx3mW8bLdNe",
        "call_O5K1vYzFvB3vQ1mJ9nLxYkQw",
        "call_9f0c2c0ee2c84e57a4b9",
        "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    ] {
        assert!(is_provider_random(id), "{id}");
    }
    for id in [
        "call_0",
        "call_1",
        "toolu_1",
        "call_00000000000000000001",
        "0",
        "",
        "tool-call-7",
        "00000000-0000-0000-0000-000000000000",
        "3f2504e0-4f89-41d3-9a0c-0305e82c330",
        "call_shop list orders now",
    ] {
        assert!(!is_provider_random(id), "{id}");
    }
}

#[test]
fn an_explicit_key_is_one_printable_text_wherever_it_stands() {
    assert_eq!(explicit_key([]), Ok(None));
    assert_eq!(explicit_key(["k", "k"]), Ok(Some("k")));
    assert_eq!(explicit_key(["k", "l"]), Err(Error::Differ));
    assert_eq!(explicit_key([""]), Err(Error::Length(0)));
    assert_eq!(explicit_key(["a\nb"]), Err(Error::Unprintable));
    let long = "x".repeat(KEY_MAX + 1);
    assert_eq!(explicit_key([&*long]), Err(Error::Length(KEY_MAX + 1)));
    assert_eq!(explicit_key([&long[1..]]), Ok(Some(&long[1..])));
}

//= G2
#[test]
fn an_upstream_key_changes_with_the_generation_only() {
    let step = step_key(&OWNER, &Id::Explicit("key-1"));
    assert_eq!(upstream_key(&step, 0), upstream_key(&step, 0));
    assert_ne!(upstream_key(&step, 0), upstream_key(&step, 1));
    assert_eq!(upstream_key(&step, 0).len(), 36);
}

#[test]
fn a_leg_is_known_by_its_state_and_its_responses() {
    let step = Hash([3; 32]);
    let (yes, no) = (Hash([1; 32]), Hash([2; 32]));
    assert_ne!(leg_key(&step, b"s", &yes), leg_key(&step, b"s", &no));
    assert_ne!(leg_key(&step, b"s", &yes), leg_key(&step, b"r", &yes));
    assert_ne!(leg_key(&step, b"", &yes), leg_key_stateless(&step, &yes));
}

#[test]
fn a_guessed_run_shares_no_scope_with_a_named_one() {
    assert_ne!(scope("t", "p", Within::Run(RUN)), scope("t", "p", Within::Client("c")));
    assert_ne!(scope("t", "p", Within::Client("c")), scope("t", "p", Within::Client("d")));
    assert_ne!(run_id("t", "p", "r"), run_id("t", "q", "r"));
}

#[test]
fn a_list_of_parts_hashes_alike_whether_or_not_it_fits_into_one_piece() {
    let long = [b'x'; 2 * GATHERED_MAX];
    for length in [0, 1, GATHERED_MAX - 17, GATHERED_MAX - 16, GATHERED_MAX - 15, 2 * GATHERED_MAX] {
        let mut hasher = blake3::Hasher::new();
        for part in [&b"a"[..], &long[..length]] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        assert_eq!(hash(&[b"a", &long[..length]]).0, *hasher.finalize().as_bytes(), "{length}");
    }
}
