//! docs/errors.md names every code with its remedy: the document and the code cannot disagree.

use vfio_migration::Code;

#[test]
fn every_code_stands_in_the_document_with_its_remedy() {
    let document = include_str!("../../../docs/errors.md");
    for code in Code::ALL {
        let row = document.lines().find(|line| line.contains(&format!("`{code}` |")));
        let row = row.unwrap_or_else(|| panic!("{code} is missing from docs/errors.md"));
        assert!(row.ends_with(&format!("| {} |", code.remedy())), "{row}\nhas not the remedy: {}", code.remedy());
    }
}
