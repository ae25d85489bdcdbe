//! `cofferdam explain`: what an agent was told, offline.

use crate::Tested;
use crate::cli::Desk;
use vocab::Code;

#[test]
fn every_code_has_its_page() -> Tested {
    let desk = Desk::new()?;
    for code in Code::ALL {
        let said = desk.run(&["explain", code.as_str()])?;
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.out.starts_with(&format!("# {code}\n")), "{said:?}");
        assert!(said.out.contains("## What to do"), "{said:?}");
    }
    Ok(())
}

#[test]
fn a_code_that_does_not_exist_is_not_found_and_the_known_ones_are_named() -> Tested {
    let said = Desk::new()?.run(&["explain", "not_a_code"])?;
    assert_eq!(said.code, Some(4));
    assert!(said.err.contains("there is no such code") && said.err.contains("outcome_unknown"), "{said:?}");
    Ok(())
}

#[test]
fn programs_get_the_code_its_meaning_and_the_page() -> Tested {
    let desk = Desk::new()?;
    let one = desk.run(&["explain", "outcome_unknown", "--json"])?.json()?;
    assert_eq!(one["executed"], "unknown");
    assert_eq!(one["retryable"], "never");
    assert!(one["page"].as_str().is_some_and(|page| page.contains("## Meaning")));
    let all = desk.run(&["--json", "explain"])?.json()?;
    assert_eq!(all.as_array().map(Vec::len), Some(Code::ALL.len()));
    Ok(())
}

#[test]
fn a_wrong_command_line_has_an_exit_code_of_its_own() -> Tested {
    let said = Desk::new()?.run(&["explian"])?;
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("explain"), "{said:?}");
    Ok(())
}
