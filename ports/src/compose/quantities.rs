//! Sizes (`512m`), processors (`0.5`) and the words of a command line, as Docker reads them.

/// Returns the bytes of `512m`, `1.5GiB`, `64 kb` or `1024`; units are powers of 1024.
///
/// # Errors
///
/// A sentence that says what is wrong.
pub fn bytes(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is not a size such as 512m or 1.5G");
    let end = text.rfind(|letter: char| letter.is_ascii_digit() || letter == '.' || letter == ' ').ok_or_else(wrong)?;
    let number = if text.as_bytes()[end] == b' ' { &text[..end] } else { &text[..=end] };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    if !(0.0..9.2e18).contains(&number) {
        return Err(wrong());
    }
    let unit = text[end + 1..].to_ascii_lowercase();
    let factor = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit) {
        "" if unit == "ib" => return Err(wrong()),
        "" => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        "g" => 1024.0 * 1024.0 * 1024.0,
        "t" => 1024.0f64.powi(4),
        "p" => 1024.0f64.powi(5),
        _ => return Err(wrong()),
    };
    let bytes = number * factor;
    if bytes >= 9.2e18 {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 2^63, as just checked")]
    Ok(bytes as i64)
}

/// Returns billionths of a processor: `0.5`, `1e-1` and `1/4` are numbers.
///
/// # Errors
///
/// A sentence that says what is wrong.
pub fn nano_cpus(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is not a number of processors such as 0.5");
    let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
    let denominator: i128 = denominator.parse().map_err(|_| wrong())?;
    let (mantissa, exponent) = match numerator.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| wrong())?),
        None => (numerator, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) || whole.len() + fraction.len() > 24 {
        return Err(wrong());
    }
    let digits: i128 = format!("{whole}{fraction}").parse().map_err(|_| wrong())?;
    let power = exponent + 9 - i32::try_from(fraction.len()).map_err(|_| wrong())?;
    if denominator <= 0 || power.unsigned_abs() > 12 {
        return Err(wrong());
    }
    let scale = 10i128.pow(power.unsigned_abs());
    let (numerator, denominator) =
        if power >= 0 { (digits * scale, denominator) } else { (digits, denominator.saturating_mul(scale)) };
    if numerator % denominator != 0 {
        return Err(format!("{text:?} is more precise than a billionth of a processor"));
    }
    i64::try_from(numerator / denominator).map_err(|_| wrong())
}

/// Splits a command line into words: quotes and backslashes as in a shell, a comment from `#` on, nothing else.
///
/// # Errors
///
/// A sentence that says what is wrong.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => {
                letters.by_ref().find(|letter| *letter == '\n');
            }
            '\\' => {
                let next = letters.next().ok_or("the command ends in a backslash")?;
                word.get_or_insert_default().push(next);
            }
            '\'' => quoted(&mut letters, '\'', word.get_or_insert_default())?,
            '"' => quoted(&mut letters, '"', word.get_or_insert_default())?,
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(letters: &mut std::str::Chars<'_>, quote: char, word: &mut String) -> Result<(), String> {
    loop {
        match letters.next() {
            None => return Err(format!("a quote {quote} is not closed")),
            Some(letter) if letter == quote => return Ok(()),
            Some('\\') if quote == '"' => match letters.next() {
                None => return Err("the command ends in a backslash".to_owned()),
                Some(letter) => word.push(letter),
            },
            Some(letter) => word.push(letter),
        }
    }
}
