//! Written by `cargo xtask bots`; edits are lost.
//!
//! The 206 patterns of npm `isbot@5.2.3` (licence: Unlicense, <https://isbot.js.org>), each beside its own spelling. Measured
//! with npm `crawler-user-agents@1.60.0` and `user-agents@2.1.198`, which are not part of the service.

#[allow(unused_imports, reason = "not every list needs every step")]
use super::Step::{Behind, Edge, End, Group, NotAhead, NotBehind, Run, Start, Text};
use super::{Bucket, Pattern, Set};

/// Patterns that hold at the beginning alone.
pub(super) static AT_START: &[Pattern] = &[
    Pattern { before: &[], text: "", after: &[Run(Set { ascii: 0x1800010000000000, others: false }, 1, 1)] }, // ^[<\(;]
    Pattern { before: &[], text: "", after: &[Run(Set { ascii: 0x7fffffe87fffffe87ff632100000000, others: false }, 1, usize::MAX), Group(&[&[Text("/"), Group(&[&[Text("v")]], 0, 1), Run(Set { ascii: 0x3ff000000000000, others: false }, 1, usize::MAX), Group(&[&[Text("."), Run(Set { ascii: 0x3ff000000000000, others: false }, 1, usize::MAX)]], 0, 1), Group(&[&[Text("."), Run(Set { ascii: 0x3ff000000000000, others: false }, 1, 10)]], 0, usize::MAX)]], 0, 1), Group(&[&[Text(",")], &[End]], 1, 1)] }, // ^[\w \.\-\(?:\):%]+(?:/v?\d+(?:\.\d+)?(?:\.\d{1,10})*?)?(?:,|$)
    Pattern { before: &[], text: "", after: &[Run(Set { ascii: 0x7fffffe87fffffe03ff200000000000, others: false }, 1, usize::MAX), Text("/"), Run(Set { ascii: 0x7fffffe87fffffe03ff000000000000, others: false }, 1, usize::MAX), End] }, // ^[\w\-]+/[\w]+$
    Pattern { before: &[], text: "", after: &[Run(Set { ascii: 0xfffffffffffffffffffffffeffffffff, others: true }, 50, usize::MAX), End] }, // ^[^ ]{50,}$
    Pattern { before: &[], text: "", after: &[Run(Set { ascii: 0x3ff000000000000, others: false }, 1, usize::MAX), Edge] }, // ^\d+\b
    Pattern { before: &[], text: "", after: &[Run(Set { ascii: 0x7fffffe87fffffe03ff000000000000, others: false }, 0, usize::MAX), Text("search"), Edge] }, // ^\w*search\b
    Pattern { before: &[], text: "", after: &[Run(Set { ascii: 0x7fffffe87fffffe03ff000000000000, others: false }, 1, usize::MAX), Text("/"), Run(Set { ascii: 0x7fffffe87fffffe03ff030000000000, others: false }, 0, usize::MAX), End] }, // ^\w+/[\w\(\)]*$
    Pattern { before: &[], text: "", after: &[Run(Set { ascii: 0x7fffffe87fffffe03ff000000000000, others: false }, 1, usize::MAX), Text("/"), Run(Set { ascii: 0x3ff000000000000, others: false }, 1, 1), Text("."), Run(Set { ascii: 0x3ff000000000000, others: false }, 1, 1), Run(Set { ascii: 0x100003e00, others: false }, 1, 1), Text("("), Run(Set { ascii: 0x7fffffe87ffffff03ff000000000000, others: false }, 1, usize::MAX), Text(")"), End] }, // ^\w+/\d\.\d\s\([\w@]+\)$
    Pattern { before: &[], text: "active", after: &[] }, // ^active
    Pattern { before: &[], text: "ad muncher", after: &[] }, // ^ad muncher
    Pattern { before: &[], text: "amaya", after: &[] }, // ^amaya
    Pattern { before: &[], text: "apache/", after: &[] }, // ^apache/
    Pattern { before: &[], text: "avsdevicesdk/", after: &[] }, // ^avsdevicesdk/
    Pattern { before: &[], text: "azure", after: &[] }, // ^azure
    Pattern { before: &[], text: "biglotron", after: &[] }, // ^biglotron
    Pattern { before: &[], text: "blackbox exporter", after: &[] }, // ^blackbox exporter
    Pattern { before: &[], text: "bot", after: &[] }, // ^bot
    Pattern { before: &[], text: "clamav", after: &[Run(Set { ascii: 0x800100000000, others: false }, 1, 1)] }, // ^clamav[ /]
    Pattern { before: &[], text: "claude-code/", after: &[] }, // ^claude-code/
    Pattern { before: &[], text: "client/", after: &[] }, // ^client/
    Pattern { before: &[], text: "cobweb/", after: &[] }, // ^cobweb/
    Pattern { before: &[], text: "custom", after: &[] }, // ^custom
    Pattern { before: &[], text: "ddg", after: &[Run(Set { ascii: 0x800000000000200000000000, others: false }, 1, 1), Text("android")] }, // ^ddg[_-]android
    Pattern { before: &[], text: "discourse", after: &[] }, // ^discourse
    Pattern { before: &[], text: "dispatch/", after: &[Run(Set { ascii: 0x3ff000000000000, others: false }, 1, 1)] }, // ^dispatch/\d
    Pattern { before: &[], text: "downcast/", after: &[] }, // ^downcast/
    Pattern { before: &[], text: "duckduckgo", after: &[] }, // ^duckduckgo
    Pattern { before: &[], text: "email", after: &[] }, // ^email
    Pattern { before: &[], text: "exodusmovement", after: &[] }, // ^exodusmovement
    Pattern { before: &[], text: "facebook", after: &[] }, // ^facebook
    Pattern { before: &[], text: "getright/", after: &[] }, // ^getright/
    Pattern { before: &[], text: "gozilla/", after: &[] }, // ^gozilla/
    Pattern { before: &[], text: "hobbit", after: &[] }, // ^hobbit
    Pattern { before: &[], text: "hotzonu", after: &[] }, // ^hotzonu
    Pattern { before: &[], text: "hwcdn/", after: &[] }, // ^hwcdn/
    Pattern { before: &[], text: "igetter/", after: &[] }, // ^igetter/
    Pattern { before: &[], text: "jeode/", after: &[] }, // ^jeode/
    Pattern { before: &[], text: "jetty/", after: &[] }, // ^jetty/
    Pattern { before: &[], text: "jigsaw", after: &[] }, // ^jigsaw
    Pattern { before: &[], text: "microsoft bits", after: &[] }, // ^microsoft bits
    Pattern { before: &[], text: "movabletype", after: &[] }, // ^movabletype
    Pattern { before: &[], text: "mozilla/", after: &[Run(Set { ascii: 0x3ff000000000000, others: false }, 1, 1), Text("."), Run(Set { ascii: 0x3ff000000000000, others: false }, 1, 1), Run(Set { ascii: 0x100003e00, others: false }, 1, 1), Run(Set { ascii: 0x7fffffe87fffffe03ff600000000000, others: false }, 1, usize::MAX), End] }, // ^mozilla/\d\.\d\s[\w\.-]+$
    Pattern { before: &[], text: "mozilla/", after: &[Run(Set { ascii: 0x3ff000000000000, others: false }, 1, 1), Text("."), Run(Set { ascii: 0x3ff000000000000, others: false }, 1, 1), Run(Set { ascii: 0x100003e00, others: false }, 1, 1), Text("("), Group(&[&[Text("compatible;")]], 0, 1), Group(&[&[Run(Set { ascii: 0x100003e00, others: false }, 0, 1), Run(Set { ascii: 0x7fffffe87fffffe03ff600000000000, others: false }, 1, usize::MAX), Run(Set { ascii: 0x800100003e00, others: false }, 1, 1), Run(Set { ascii: 0x3ff000000000000, others: false }, 1, usize::MAX), Text("."), Run(Set { ascii: 0x3ff000000000000, others: false }, 1, usize::MAX)]], 0, 1), Text(")"), End] }, // ^mozilla/\d\.\d\s\((?:compatible;)?(?:\s?[\w\d-.]+[\s/]\d+\.\d+)?\)$
    Pattern { before: &[], text: "navermailapp", after: &[] }, // ^navermailapp
    Pattern { before: &[], text: "netsurf", after: &[] }, // ^netsurf
    Pattern { before: &[], text: "offline", after: &[] }, // ^offline
    Pattern { before: &[], text: "openai/", after: &[] }, // ^openai/
    Pattern { before: &[], text: "owler", after: &[] }, // ^owler
    Pattern { before: &[], text: "php", after: &[] }, // ^php
    Pattern { before: &[], text: "postman", after: &[] }, // ^postman
    Pattern { before: &[], text: "ps_daily/", after: &[] }, // ^ps_daily/
    Pattern { before: &[], text: "python", after: &[] }, // ^python
    Pattern { before: &[], text: "rank", after: &[] }, // ^rank
    Pattern { before: &[], text: "read", after: &[] }, // ^read
    Pattern { before: &[], text: "reed", after: &[] }, // ^reed
    Pattern { before: &[], text: "remove.bg/", after: &[] }, // ^remove\.bg/
    Pattern { before: &[], text: "rest", after: &[] }, // ^rest
    Pattern { before: &[], text: "rss", after: &[] }, // ^rss
    Pattern { before: &[], text: "snapchat", after: &[] }, // ^snapchat
    Pattern { before: &[], text: "sora ", after: &[] }, // ^sora 
    Pattern { before: &[], text: "space bison", after: &[] }, // ^space bison
    Pattern { before: &[], text: "stape/", after: &[] }, // ^stape/
    Pattern { before: &[], text: "svn", after: &[] }, // ^svn
    Pattern { before: &[], text: "swcd ", after: &[] }, // ^swcd 
    Pattern { before: &[], text: "taringa", after: &[] }, // ^taringa
    Pattern { before: &[], text: "thumbor/", after: &[] }, // ^thumbor/
    Pattern { before: &[], text: "track", after: &[] }, // ^track
    Pattern { before: &[], text: "w3c", after: &[] }, // ^w3c
    Pattern { before: &[], text: "webbandit/", after: &[] }, // ^webbandit/
    Pattern { before: &[], text: "webcopier", after: &[] }, // ^webcopier
    Pattern { before: &[], text: "wget", after: &[] }, // ^wget
    Pattern { before: &[], text: "whatsapp", after: &[] }, // ^whatsapp
    Pattern { before: &[], text: "wordpress", after: &[] }, // ^wordpress
    Pattern { before: &[], text: "xenu link sleuth", after: &[] }, // ^xenu link sleuth
    Pattern { before: &[], text: "yahoo", after: &[] }, // ^yahoo
    Pattern { before: &[], text: "yandex", after: &[] }, // ^yandex
    Pattern { before: &[], text: "zdm/", after: &[Run(Set { ascii: 0x3ff000000000000, others: false }, 1, 1)] }, // ^zdm/\d
    Pattern { before: &[], text: "zoom marketplace/", after: &[] }, // ^zoom marketplace/
];

/// Patterns that begin with no certain byte.
pub(super) static ANYWHERE: &[Pattern] = &[
];

/// The others, by their first byte.
pub(super) static BY_FIRST: [Bucket; 128] = [
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0x10000000000000000000000000, patterns: &[
    Pattern { before: &[], text: " daum", after: &[Run(Set { ascii: 0x800100000000, others: false }, 1, 1)] }, //  daum[ /]
    Pattern { before: &[], text: " deusu/", after: &[] }, //  deusu/
    ] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0x20000000000, patterns: &[
    Pattern { before: &[], text: "()", after: &[] }, // \(\)
    ] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0x8000000000000000000000000, patterns: &[
    Pattern { before: &[], text: ".com", after: &[Edge] }, // \.com\b
    ] },
    Bucket { seconds: 0x2000000000000, patterns: &[
    Pattern { before: &[Behind(Set { ascii: 0x7fffffe87fffffe03ff000000000000, others: false })], text: "/1.0;", after: &[] }, // \b\w+/1\.0;
    ] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0x10000000000000, patterns: &[
    Pattern { before: &[], text: "24x7", after: &[] }, // 24x7
    ] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0xffffffffffffffffffffffffffffffff, patterns: &[
    Pattern { before: &[], text: ";", after: &[Run(Set { ascii: 0x100003e00, others: false }, 1, 1), Run(Set { ascii: 0x7fffffe87fffffe03ff000000000000, others: false }, 1, usize::MAX), Text(";"), End] }, // ;\s\w+;$
    ] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0xffffffffffffffffffffffffffffffff, patterns: &[
    Pattern { before: &[], text: "@", after: &[Run(Set { ascii: 0x7fffffe000000000000000000000000, others: false }, 1, 1), Run(Set { ascii: 0x7fffffe87fffffe03ff200000000000, others: false }, 1, usize::MAX), Text(".")] }, // @[a-z][\w-]+\.
    ] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0x3c4094000000000000000000000000, patterns: &[
    Pattern { before: &[], text: "abuse", after: &[] }, // abuse
    Pattern { before: &[], text: "advisor", after: &[] }, // advisor
    Pattern { before: &[], text: "agent", after: &[Edge] }, // agent\b
    Pattern { before: &[], text: "analyzer", after: &[] }, // analyzer
    Pattern { before: &[], text: "archive", after: &[] }, // archive
    Pattern { before: &[], text: "ask jeeves/teoma", after: &[] }, // ask jeeves/teoma
    Pattern { before: &[], text: "attracta", after: &[] }, // attracta
    Pattern { before: &[], text: "audit", after: &[] }, // audit
    ] },
    Bucket { seconds: 0xa49000000000000000000000000000, patterns: &[
    Pattern { before: &[NotBehind(&[" cu"])], text: "bot", after: &[Group(&[&[Text("s")]], 0, 1), Group(&[&[Edge], &[Text("_")]], 1, 1)] }, // (?<! cu)bots?(?:\b|_)
    Pattern { before: &[Edge], text: "bw/", after: &[] }, // \bbw/
    Pattern { before: &[], text: "bluecoat drtr", after: &[] }, // bluecoat drtr
    Pattern { before: &[], text: "browsex", after: &[] }, // browsex
    Pattern { before: &[], text: "burpcollaborator", after: &[] }, // burpcollaborator
    ] },
    Bucket { seconds: 0x2249102000000000000000000000000, patterns: &[
    Pattern { before: &[], text: "capture", after: &[] }, // capture
    Pattern { before: &[], text: "catch", after: &[] }, // catch
    Pattern { before: &[], text: "check", after: &[Edge] }, // check\b
    Pattern { before: &[], text: "checker", after: &[] }, // checker
    Pattern { before: &[], text: "chrome-lighthouse", after: &[] }, // chrome-lighthouse
    Pattern { before: &[], text: "chromeframe", after: &[] }, // chromeframe
    Pattern { before: &[], text: "classifier", after: &[] }, // classifier
    Pattern { before: &[], text: "cloudflare", after: &[] }, // cloudflare
    Pattern { before: &[], text: "collapsify", after: &[Edge] }, // collapsify\b
    Pattern { before: &[], text: "convertify", after: &[] }, // convertify
    Pattern { before: &[], text: "cookiehubverify/", after: &[] }, // cookiehubverify/
    Pattern { before: &[], text: "crawl", after: &[] }, // crawl
    Pattern { before: &[], text: "cursor/", after: &[] }, // cursor/
    Pattern { before: &[], text: "cypress/", after: &[] }, // cypress/
    ] },
    Bucket { seconds: 0xb222000000000000000000000000, patterns: &[
    Pattern { before: &[Edge], text: "dlc", after: &[Edge] }, // \bdlc\b
    Pattern { before: &[], text: "dareboost", after: &[] }, // dareboost
    Pattern { before: &[], text: "datanyze", after: &[] }, // datanyze
    Pattern { before: &[], text: "dejaclick", after: &[] }, // dejaclick
    Pattern { before: &[], text: "detect", after: &[] }, // detect
    Pattern { before: &[], text: "discovery", after: &[] }, // discovery
    Pattern { before: &[], text: "dmbrowser", after: &[] }, // dmbrowser
    Pattern { before: &[], text: "download", after: &[] }, // download
    ] },
    Bucket { seconds: 0x1000000000000000000000000000000, patterns: &[
    Pattern { before: &[], text: "exaleadcloudview", after: &[] }, // exaleadcloudview
    ] },
    Bucket { seconds: 0x208220000000000000000000000000, patterns: &[
    Pattern { before: &[], text: "feed", after: &[] }, // feed
    Pattern { before: &[], text: "firephp", after: &[] }, // firephp
    Pattern { before: &[], text: "foregenix", after: &[] }, // foregenix
    Pattern { before: &[], text: "functionize", after: &[] }, // functionize
    ] },
    Bucket { seconds: 0x48000000000000000000000000000, patterns: &[
    Pattern { before: &[NotBehind(&[" channel/", "google/"])], text: "google", after: &[NotAhead(&[&[Group(&[&[Text("wv")], &[Text("app")], &[Text("/google")], &[Text(" pixel")]], 1, 1)]])] }, // (?<! channel/|google/)google(?!(?:wv|app|/google| pixel))
    Pattern { before: &[], text: "grab", after: &[] }, // grab
    ] },
    Bucket { seconds: 0x308022000000000000000000000000, patterns: &[
    Pattern { before: &[NotBehind(&["lib"])], text: "http", after: &[] }, // (?<!lib)http
    Pattern { before: &[], text: "hardenize", after: &[Edge] }, // hardenize\b
    Pattern { before: &[], text: "headless", after: &[] }, // headless
    Pattern { before: &[], text: "hotjar", after: &[] }, // hotjar
    Pattern { before: &[], text: "httrack", after: &[] }, // httrack
    Pattern { before: &[], text: "hubspot marketing grader", after: &[] }, // hubspot marketing grader
    ] },
    Bucket { seconds: 0x14004000000000000000000000000, patterns: &[
    Pattern { before: &[], text: "ibisbrowser", after: &[] }, // ibisbrowser
    Pattern { before: &[], text: "infrawatch", after: &[] }, // infrawatch
    Pattern { before: &[], text: "insight", after: &[] }, // insight
    Pattern { before: &[], text: "inspect", after: &[] }, // inspect
    Pattern { before: &[], text: "iplabel", after: &[] }, // iplabel
    ] },
    Bucket { seconds: 0x2000000000000000000000000, patterns: &[
    Pattern { before: &[], text: "java", after: &[NotAhead(&[&[Text(";")]])] }, // java(?!;)
    ] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0x200000000000000000000000000, patterns: &[
    Pattern { before: &[], text: "library", after: &[] }, // library
    Pattern { before: &[], text: "linkcheck", after: &[] }, // linkcheck
    Pattern { before: &[], text: "linktiger", after: &[] }, // linktiger
    ] },
    Bucket { seconds: 0x8022000000000000000000000000, patterns: &[
    Pattern { before: &[], text: "mail.ru/", after: &[] }, // mail\.ru/
    Pattern { before: &[], text: "manus-user/", after: &[] }, // manus-user/
    Pattern { before: &[], text: "marketgoo/", after: &[] }, // marketgoo/
    Pattern { before: &[], text: "measure", after: &[] }, // measure
    Pattern { before: &[], text: "monitor", after: &[Edge] }, // monitor\b
    ] },
    Bucket { seconds: 0x208020000000000000000000000000, patterns: &[
    Pattern { before: &[NotBehind(&["g"])], text: "news", after: &[NotAhead(&[&[Text("sapphire")]])] }, // (?:^|[^g])news(?!sapphire)
    Pattern { before: &[], text: "neustar wpm", after: &[] }, // neustar wpm
    Pattern { before: &[], text: "node", after: &[Edge] }, // node\b
    Pattern { before: &[], text: "nutch", after: &[] }, // nutch
    ] },
    Bucket { seconds: 0x50040000000000000000000000000, patterns: &[
    Pattern { before: &[Edge], text: "ort/", after: &[] }, // \bort/
    Pattern { before: &[], text: "offbyone", after: &[] }, // offbyone
    Pattern { before: &[], text: "openvas", after: &[] }, // openvas
    Pattern { before: &[], text: "optimize", after: &[] }, // optimize
    ] },
    Bucket { seconds: 0x149322000000000000000000000000, patterns: &[
    Pattern { before: &[Edge], text: "perl", after: &[Edge] }, // \bperl\b
    Pattern { before: &[], text: "pageburst", after: &[] }, // pageburst
    Pattern { before: &[], text: "pagespeed", after: &[] }, // pagespeed
    Pattern { before: &[], text: "parser", after: &[] }, // parser
    Pattern { before: &[], text: "phantomjs", after: &[] }, // phantomjs
    Pattern { before: &[], text: "pingdom", after: &[] }, // pingdom
    Pattern { before: &[], text: "playwright", after: &[] }, // playwright
    Pattern { before: &[], text: "powermarks", after: &[] }, // powermarks
    Pattern { before: &[], text: "preview", after: &[] }, // preview
    Pattern { before: &[], text: "productfinder", after: &[] }, // productfinder
    Pattern { before: &[], text: "prospectingstudio", after: &[] }, // prospectingstudio
    Pattern { before: &[], text: "proxy", after: &[] }, // proxy
    Pattern { before: &[], text: "ptst", after: &[Run(Set { ascii: 0x800100000000, others: false }, 1, 1), Run(Set { ascii: 0x3ff000000000000, others: false }, 1, 1)] }, // ptst[ /]\d
    ] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0x80222000000000000000000000000, patterns: &[
    Pattern { before: &[], text: "radar", after: &[] }, // radar
    Pattern { before: &[], text: "readable/", after: &[] }, // readable/
    Pattern { before: &[], text: "retriever", after: &[] }, // retriever
    Pattern { before: &[], text: "rexx;", after: &[] }, // rexx;
    Pattern { before: &[], text: "rigor", after: &[] }, // rigor
    Pattern { before: &[], text: "rss", after: &[Edge] }, // rss\b
    ] },
    Bucket { seconds: 0x2318228000000000000000000000000, patterns: &[
    Pattern { before: &[NotBehind(&["cam"])], text: "scan", after: &[] }, // (?<!cam)scan
    Pattern { before: &[], text: "scrape", after: &[] }, // scrape
    Pattern { before: &[], text: "securityheaders", after: &[] }, // securityheaders
    Pattern { before: &[], text: "selenium", after: &[] }, // selenium
    Pattern { before: &[], text: "server", after: &[] }, // server
    Pattern { before: &[], text: "silktide", after: &[] }, // silktide
    Pattern { before: &[], text: "sindup/", after: &[] }, // sindup/
    Pattern { before: &[], text: "sogou", after: &[] }, // sogou
    Pattern { before: &[], text: "sparkler/", after: &[] }, // sparkler/
    Pattern { before: &[], text: "speedcurve", after: &[] }, // speedcurve
    Pattern { before: &[], text: "spider", after: &[] }, // spider
    Pattern { before: &[], text: "splash", after: &[] }, // splash
    Pattern { before: &[], text: "statuscake", after: &[] }, // statuscake
    Pattern { before: &[], text: "supercleaner", after: &[] }, // supercleaner
    Pattern { before: &[], text: "synapse", after: &[] }, // synapse
    Pattern { before: &[], text: "synthetic", after: &[] }, // synthetic
    ] },
    Bucket { seconds: 0x48220000000000000000000000000, patterns: &[
    Pattern { before: &[Edge], text: "time/", after: &[] }, // \btime/
    Pattern { before: &[], text: "testlocally", after: &[] }, // testlocally
    Pattern { before: &[], text: "tools", after: &[] }, // tools
    Pattern { before: &[], text: "torrent", after: &[] }, // torrent
    Pattern { before: &[], text: "transcoder", after: &[] }, // transcoder
    ] },
    Bucket { seconds: 0x40000000000000000000000000000, patterns: &[
    Pattern { before: &[], text: "url", after: &[] }, // url
    ] },
    Bucket { seconds: 0x202000000000000000000000000, patterns: &[
    Pattern { before: &[], text: "validator", after: &[] }, // validator
    Pattern { before: &[], text: "virtuoso", after: &[] }, // virtuoso
    ] },
    Bucket { seconds: 0x122000000000000000000000000, patterns: &[
    Pattern { before: &[], text: "wappalyzer", after: &[] }, // wappalyzer
    Pattern { before: &[], text: "watchtowr", after: &[] }, // watchtowr
    Pattern { before: &[], text: "webglance", after: &[] }, // webglance
    Pattern { before: &[], text: "webkit2png", after: &[] }, // webkit2png
    Pattern { before: &[], text: "whatcms/", after: &[] }, // whatcms/
    ] },
    Bucket { seconds: 0x100000000000000000000000000000, patterns: &[
    Pattern { before: &[], text: "xtate/", after: &[] }, // xtate/
    ] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0xffffffffffffffffffffffffffffffff, patterns: &[
    Pattern { before: &[], text: "|", after: &[] }, // \|
    ] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
    Bucket { seconds: 0, patterns: &[] },
];
