use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap()))
        .collect()
}

fn from_agent(agent: &str) -> (&'static str, &'static str, &'static str) {
    let facts = detect(&headers(&[("user-agent", agent)]), None, &BotSettings::default());
    (facts.class.as_str(), facts.browser, facts.os)
}

#[test]
fn user_agents_are_told_apart() {
    let cases = [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
            ("desktop", "chrome", "windows"),
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36 Edg/124.0.0.0",
            ("desktop", "edge", "windows"),
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15",
            ("desktop", "safari", "macos"),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
            ("mobile", "safari", "ios"),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/124.0 Mobile/15E148 Safari/604.1",
            ("mobile", "chrome", "ios"),
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15 Version/12.1 Mobile/15E148 Safari/604.1",
            ("tablet", "safari", "ios"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36",
            ("mobile", "chrome", "android"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-X906C) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36",
            ("tablet", "chrome", "android"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SAMSUNG SM-S918B) AppleWebKit/537.36 SamsungBrowser/21.0 Chrome/110.0 Mobile Safari/537.36",
            ("mobile", "samsung", "android"),
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0", ("desktop", "firefox", "linux")),
        (
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/124.0 Safari/537.36",
            ("desktop", "chrome", "chromeos"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 9; AFTMM) AppleWebKit/537.36 Chrome/90.0 Safari/537.36",
            ("tv", "chrome", "android"),
        ),
        ("Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 Safari/537.36", ("tv", "safari", "linux")),
        ("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 Chrome/79.0 Safari/537.36", ("tv", "chrome", "linux")),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", ("bot", "other", "other")),
        (
            "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 Chrome/124.0 Mobile Safari/537.36 (compatible; Googlebot/2.1)",
            ("bot", "chrome", "android"),
        ),
        ("facebookexternalhit/1.1", ("bot", "other", "other")),
        ("curl/8.5.0", ("bot", "other", "other")),
        (
            "Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20) AppleWebKit/537.36 Chrome/124.0 Mobile Safari/537.36",
            ("mobile", "chrome", "android"),
        ),
        ("Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko", ("desktop", "ie", "windows")),
        ("", ("bot", "other", "other")),
        ("something new", ("bot", "other", "other")),
        ("Mozilla/5.0 (Something New) AppleWebKit/537.36", ("desktop", "other", "other")),
    ];
    for (agent, expected) in cases {
        assert_eq!(from_agent(agent), expected, "{agent}");
    }
}

#[test]
fn crawlers_and_programs_are_bots_and_browsers_that_look_alike_are_not() {
    for bot in [
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_10_1) AppleWebKit/600.2.5 (KHTML, like Gecko) Version/8.0.2 Safari/600.2.5 (Applebot/0.1)",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/124.0.0.0 Safari/537.36",
        "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
        "okhttp/4.12.0",
        "python-requests/2.32.0",
        "Mozilla/5.0",
        "ShopApp/5.1",
        "",
    ] {
        assert!(is_bot(bot, &BotSettings::default()), "{bot}");
    }
    for browser in [
        "Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20) AppleWebKit/537.36 Chrome/124.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Mobile Safari/537.36 GoogleApp/15",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ] {
        assert!(!is_bot(browser, &BotSettings::default()), "{browser}");
    }
}

#[test]
fn a_site_adds_bots_and_excepts_its_own_app_whatever_the_platform_says() {
    let mut faults = Vec::new();
    let own = serde_json::json!({ "add": ["LoadTest"], "except": ["OkHttp"] });
    let own = BotSettings::read(own, &mut faults);
    let class = |agent: &str, is_bot| {
        let record = Device { is_bot, ..Device::default() };
        detect(&headers(&[("user-agent", agent)]), Some(&record), &own).class
    };
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    assert_eq!(class("okhttp/4.12.0", None), DeviceClass::Desktop);
    assert_eq!(class("okhttp/4.12.0", Some(true)), DeviceClass::Desktop, "an exception is one from the platform too");
    assert_eq!(class(&format!("{firefox} loadtest"), Some(false)), DeviceClass::Bot);
    assert_eq!(class(firefox, Some(true)), DeviceClass::Bot, "what the platform knows counts");
    assert_eq!(class("curl/8.5.0", Some(false)), DeviceClass::Bot, "and what it doesn't know is asked for here");
    assert_eq!(class(firefox, None), DeviceClass::Desktop);
}

#[test]
fn no_user_agent_costs_more_than_its_share() {
    for agent in
        ["a/1.".repeat(2000), "bot ".repeat(2000), "1.1".repeat(5000), "@a".repeat(5000), "\u{e9}".repeat(4000)]
    {
        // What counts is that this ends: whether it is a bot's is no matter.
        let _ = is_bot(&agent, &BotSettings::default());
    }
}

#[test]
fn hints_outrank_the_user_agent() {
    let chrome = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/124.0.0.0 Safari/537.36";
    let with = |pairs: &[(&'static str, &str)]| {
        let mut headers = headers(pairs);
        headers.insert(
            "user-agent",
            HeaderValue::from_static(
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/124.0.0.0 Safari/537.36",
            ),
        );
        detect(&headers, None, &BotSettings::default())
    };
    assert_eq!(from_agent(chrome).0, "tablet");
    assert_eq!(with(&[("sec-ch-ua-mobile", "?1")]).class, DeviceClass::Mobile);
    assert_eq!(with(&[("sec-ch-ua-mobile", "?0"), ("sec-ch-ua-platform", "\"Windows\"")]).class, DeviceClass::Desktop);
    assert_eq!(with(&[("sec-ch-ua-mobile", "?0"), ("sec-ch-ua-platform", "\"Android\"")]).class, DeviceClass::Tablet);
    assert_eq!(with(&[("sec-ch-ua-mobile", "maybe"), ("sec-ch-ua-platform", "Windows")]).class, DeviceClass::Tablet);
    let edge = with(&[
        ("sec-ch-ua", "\"Chromium\";v=\"124\", \"Microsoft Edge\";v=\"124\", \"Not-A.Brand\";v=\"99\""),
        ("sec-ch-ua-platform", "\"macOS\""),
    ]);
    assert_eq!((edge.browser, edge.os), ("edge", "macos"));
    assert_eq!(with(&[("sec-ch-ua", "\"Chromium\";v=\"124\", \"Brave\";v=\"124\"")]).browser, "chrome");
}

#[test]
fn the_platforms_record_outranks_both() {
    let headers = headers(&[("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/1"), ("sec-ch-ua-mobile", "?0")]);
    let record = Device {
        is_mobile: Some(true),
        is_tablet: Some(true),
        browser: Some("Mobile Safari".into()),
        os: Some("iOS".into()),
        ..Device::default()
    };
    assert_eq!(
        detect(&headers, Some(&record), &BotSettings::default()),
        DeviceFacts { class: DeviceClass::Tablet, browser: "safari", os: "ios" }
    );
    let bot = Device { is_bot: Some(true), is_desktop: Some(true), ..Device::default() };
    assert_eq!(detect(&headers, Some(&bot), &BotSettings::default()).class, DeviceClass::Bot);
    let empty = Device { is_mobile: Some(false), os: Some("Unheard OS".into()), ..Device::default() };
    assert_eq!(
        detect(&headers, Some(&empty), &BotSettings::default()),
        DeviceFacts { class: DeviceClass::Desktop, browser: "firefox", os: "linux" }
    );
}

#[test]
fn whatever_a_client_says_the_facts_are_few() {
    let mut seen = std::collections::HashSet::new();
    for seed in 0u32..5000 {
        let agent: Vec<u8> = (0..40u32)
            .map(|i| {
                u8::try_from((seed.wrapping_mul(31).wrapping_add(i).wrapping_mul(2_654_435_761) >> 20) % 94 + 33)
                    .unwrap()
            })
            .collect();
        let facts = detect(
            &headers(&[
                ("user-agent", std::str::from_utf8(&agent).unwrap()),
                ("sec-ch-ua", "\"\"\""),
                ("sec-ch-ua-platform", "\"x\""),
            ]),
            None,
            &BotSettings::default(),
        );
        seen.insert((facts.class, facts.browser, facts.os));
    }
    assert!(seen.len() <= 5 * 8 * 7);
    let long = "A".repeat(60_000);
    assert_eq!(from_agent(&long).0, "bot", "one word alone is no browser");
}
