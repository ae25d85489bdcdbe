//! Words of the command line: `name=rest`, a command in one text, names made from addresses and programs.

/// `files=npx -y server` names it; `https://x/?a=b` does not.
pub fn named(text: &str) -> (Option<&str>, &str) {
    match text.split_once('=') {
        Some((name, rest)) if is_name(name) => (Some(name), rest),
        _ => (None, text),
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_lowercase())
        && text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
}

/// Splits as a shell would, with quotes and backslashes, and expands nothing.
pub fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut parts = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some('\''), _) => word.get_or_insert_default().push(letter),
            (_, '\\') => word.get_or_insert_default().push(letters.next().ok_or("it ends with a backslash")?),
            (Some(_), _) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, _) if letter.is_whitespace() => parts.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    parts.extend(word);
    if parts.is_empty() { Err("it is empty") } else { Ok(parts) }
}

/// The host of an address, without `www.` and what lies behind the first dot.
pub fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.strip_prefix("www.").unwrap_or(host);
    if host.starts_with(|letter: char| letter.is_ascii_digit() || letter == '[') {
        return "upstream";
    }
    host.split(['.', ':']).next().unwrap_or(host)
}

/// A name from a command: of `npx -y @scope/server-files@1.2 /data` it is `files`.
pub fn program(parts: &[String]) -> String {
    let runners = ["npx", "uvx", "bunx", "pnpm", "yarn", "node", "python", "python3", "uv", "run", "dlx", "exec", "-m"];
    let base = |part: &str| part.rsplit('/').next().unwrap_or_default().to_owned();
    let words = parts.iter().map(|part| base(part));
    let mut words = words.filter(|word| !word.starts_with('-') && !runners.contains(&word.as_str()));
    let word = words.next().unwrap_or_else(|| "upstream".to_owned());
    let word = word.split('@').find(|part| !part.is_empty()).unwrap_or_default();
    let word = [".js", ".mjs", ".ts", ".py", ".exe"].iter().fold(word, |word, end| word.trim_end_matches(end));
    let word = word.trim_start_matches("mcp-").trim_start_matches("server-");
    word.trim_end_matches("-mcp").trim_end_matches("-server").trim_end_matches("-mcp").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_as_a_shell_would() {
        let split = |text| split(text).map(|parts| parts.join("|"));
        assert_eq!(split(r#"npx -y "a b" c\ d 'e"f' """#), Ok(r#"npx|-y|a b|c d|e"f|"#.to_owned()));
        assert_eq!(split("a 'b"), Err("a quote is not closed"));
        assert_eq!(split("  "), Err("it is empty"));
    }

    #[test]
    fn a_name_stands_before_the_first_equals_sign() {
        assert_eq!(named("files=npx x"), (Some("files"), "npx x"));
        assert_eq!(named("https://x.example/?a=b"), (None, "https://x.example/?a=b"));
        assert_eq!(named("PORT=1 serve"), (None, "PORT=1 serve"));
    }

    #[test]
    fn names_are_taken_from_hosts_and_programs() {
        assert_eq!(host("https://user:x@shop.example.com:8080/mcp"), "shop");
        assert_eq!(host("http://127.0.0.1:9000/mcp"), "upstream");
        let of = |command: &str| program(&split(command).unwrap_or_default());
        assert_eq!(of("npx -y @modelcontextprotocol/server-filesystem@1.2 /data"), "filesystem");
        assert_eq!(of("python3 -m mcp_shop"), "mcp_shop");
        assert_eq!(of("/opt/shop-mcp-server --x"), "shop");
        assert_eq!(of("npx"), "upstream");
    }
}
