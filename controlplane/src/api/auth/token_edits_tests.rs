//! Tokens made at random: edits of a good one, and anything that the right key has signed.
//!
//! Method: property tests; each token is refused in the one form of words, or belongs to who it says.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use super::token_tests::{block_on, world};
use super::*;

/// A change of one place of a token: where, what kind, and the character that comes in.
type Edit = (prop::sample::Index, u8, char);

fn edited(token: &str, edits: &[Edit]) -> String {
    let mut letters: Vec<char> = token.chars().collect();
    for (place, kind, letter) in edits {
        let place = place.index(letters.len());
        match kind % 4 {
            0 => letters[place] = *letter,
            1 => letters.insert(place, *letter),
            2 if letters.len() > 1 => drop(letters.remove(place)),
            _ => letters.truncate(place + 1),
        }
    }
    letters.into_iter().collect()
}

/// JSON of any shape, with the names that tokens have now and then.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        prop::sample::select(vec![
            "alg", "typ", "kid", "crit", "b64", "iss", "aud", "sub", "sid", "iat", "nbf", "exp"
        ])
        .prop_map(str::to_owned),
        "[a-z]{1,4}",
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

#[test]
fn no_edit_of_a_token_is_let_in() {
    let world = block_on(world());
    let good = world.with_claims(|_| {});
    let letter = prop_oneof![
        prop::sample::select(vec!['.', '=', '-', '_', '+', '/', 'A', '0', ' ']),
        prop::char::range(' ', '~'),
    ];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), letter), 1..5);
    let tried = TestRunner::default().run(&edits, |edits| {
        let token = edited(&good, &edits);
        // Spaces around a token are the header's and not the token's.
        if token.trim() != good {
            block_on(world.refuses("edited", &token));
        }
        Ok(())
    });
    tried.unwrap();
}

#[test]
fn whatever_is_signed_with_the_right_key_is_refused_or_says_who_it_is() {
    let world = block_on(world());
    // Parts of a right token with others in their place, so that more than the first look is reached.
    let parts = (any_json(), any_json(), any::<bool>(), any::<bool>());
    let tried = TestRunner::default().run(&parts, |(header, claims, own_header, own_claims)| {
        let with = |right: Value, wrong: &Value, own: bool| {
            let mut right = if own { right } else { wrong.clone() };
            if let (Some(right), Some(wrong), true) = (right.as_object_mut(), wrong.as_object(), own) {
                right.extend(wrong.clone());
            }
            right.to_string()
        };
        let token = world
            .token(&with(world.header(), &header, own_header), &with(world.claims(), &claims, own_claims));
        match block_on(world.ask(&token)) {
            Ok(principal) => assert_eq!((principal.name.as_str(), principal.role), ("ada", Role::Operator)),
            Err(problem) => assert_eq!(problem, Problem::unauthenticated()),
        }
        Ok(())
    });
    tried.unwrap();
}
