#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
use messages::Lang;
use model::{Asset, Category, Connectivity, Id, Meta, Org, Page, ProtocolPort, SystemClock};
use session::{AccountAsk, AccountChoice, Target, TargetQuery};

use super::state::{Menu, Request};

fn target(n: usize, name: &str, comment: &str) -> Target {
    let now = model::Clock::now(&SystemClock);
    Target {
        asset: Asset {
            id: Id::builtin(n as u128 + 1),
            org: Org::DEFAULT,
            name: name.into(),
            address: format!("10.20.30.{n}"),
            platform: Id::builtin(0x1001),
            category: Category::Host,
            nodes: Vec::new(),
            protocols: vec![ProtocolPort { name: "ssh".into(), port: 22 }],
            is_active: true,
            connectivity: Connectivity::Unknown,
            date_verified: None,
            comment: comment.into(),
            meta: Meta::new("test", now),
        },
        platform: "Linux".into(),
        org: "Default".into(),
        nodes: vec!["/Default".into()],
    }
}

fn hosts(count: usize) -> Vec<Target> {
    (1..=count).map(|n| target(n, &format!("web{n}"), if n == 2 { "the second" } else { "" })).collect()
}

/// Answers as the control plane does.
struct World {
    menu: Menu,
    all: Vec<Target>,
    accounts: Vec<AccountChoice>,
    screen: Vec<u8>,
    asked: Vec<Request>,
    end: Option<Request>,
}

impl World {
    fn new(all: Vec<Target>, lang: Lang, size: (u16, u16)) -> Self {
        let accounts = vec![AccountChoice { ask: AccountAsk::Written("root".into()), name: "root".into(), username: "root".into(), types_secret: false }];
        Self { menu: Menu::new("Alice(alice)", lang, size, false), all, accounts, screen: Vec::new(), asked: Vec::new(), end: None }
    }

    fn page(&self, q: &TargetQuery) -> Page<Target> {
        let hit = |t: &&Target| {
            let words = q.search.to_lowercase();
            let matches = [&t.asset.name, &t.asset.address, &t.asset.comment].iter().any(|s| s.to_lowercase().contains(&words));
            matches && q.node.as_ref().is_none_or(|n| t.nodes.iter().any(|p| p.starts_with(n.as_str())))
        };
        let found: Vec<Target> = self.all.iter().filter(hit).cloned().collect();
        Page { count: found.len() as u64, rows: found.into_iter().skip(q.offset as usize).take(q.limit as usize).collect() }
    }

    fn settle(&mut self) -> String {
        let mut fresh = self.menu.take_output();
        while let Some(request) = self.menu.take_request() {
            self.asked.push(request.clone());
            match request {
                Request::Targets(q) => {
                    let page = self.page(&q);
                    self.menu.on_targets(Ok(page));
                }
                Request::Folders => self.menu.on_folders(Ok(vec![("/Default".into(), 3), ("/Default/Web".into(), 2), ("/Default/Web/Old".into(), 1)])),
                Request::Accounts(..) => {
                    let accounts = self.accounts.clone();
                    self.menu.on_accounts(Ok(accounts));
                }
                Request::Language(_) => self.menu.feed(&[]),
                end => {
                    self.end = Some(end);
                    break;
                }
            }
            fresh.extend(self.menu.take_output());
        }
        fresh.extend(self.menu.take_output());
        self.screen.extend(&fresh);
        String::from_utf8(fresh).unwrap()
    }

    fn type_in(&mut self, text: &str) -> String {
        self.settle();
        self.menu.feed(text.as_bytes());
        self.settle()
    }

    fn chosen(&self) -> Option<&super::Choice> {
        if let Some(Request::Choose(choice)) = &self.end { Some(choice) } else { None }
    }
}

fn plain(screen: &str) -> String {
    terminal::clean(screen.replace('\r', "").as_bytes())
}

#[test]
fn the_list_is_right_at_80_by_24() {
    let mut w = World::new(hosts(20), Lang::En, (80, 24));

    let screen = plain(&w.type_in("p\r"));

    let expected = "Opt> p
ID  Name   Address      Platform  Organization  Comment
--  -----  -----------  --------  ------------  ----------
1   web1   10.20.30.1   Linux     Default
2   web2   10.20.30.2   Linux     Default       the second
3   web3   10.20.30.3   Linux     Default
";
    let body = format!("Opt> {screen}");
    assert!(body.starts_with(expected), "{body}");
    let foot = "\
17  web17  10.20.30.17  Linux     Default
18  web18  10.20.30.18  Linux     Default
1-18 of 20
NUMBER connects, Enter next page, b page back, //TEXT searches here, ? help
Opt>";
    assert!(body.ends_with(foot), "{body}");
    assert!(body.lines().count() <= 24, "{}", body.lines().count());
}

#[test]
fn wide_names_are_right_at_80_by_24_in_chinese() {
    let all = vec![
        target(1, "数据库主节点服务器", "生产环境,请勿随意重启"),
        target(2, "web\u{202e}1\u{1b}[2J", ""),
        target(3, "一个名字非常非常非常非常非常非常非常长的资产", "备注也很长很长很长很长很长很长很长很长很长很长"),
    ];
    let mut w = World::new(all, Lang::ZhCn, (80, 24));

    let raw = w.type_in("p\r");
    let screen = plain(&raw);

    let expected = "\
p
ID  名称                                   地址        平台   组织     备注
--  -------------------------------------  ----------  -----  -------  --------
1   数据库主节点服务器                     10.20.30.1  Linux  Default  生产环…
2   web\\u{202e}1\\u{1b}[2J                  10.20.30.2  Linux  Default
3   一个名字非常非常非常非常非常非常非常…  10.20.30.3  Linux  Default  备注也…
第 1-3 项,共 3 项
输入编号连接,回车下一页,b 上一页,//文字 在结果中搜索,? 帮助
Opt>";
    assert_eq!(screen, expected);
    assert!(!raw.contains('\u{202e}') && !raw.contains("\u{1b}[2J"));
    for line in screen.lines() {
        assert!(terminal::width(line) < 80, "{line}");
    }
    let rows: Vec<&str> = screen.lines().collect();
    let column = |row: &str, what: &str| terminal::width(row.split(what).next().unwrap());
    assert_eq!(column(rows[1], "地址"), column(rows[3], "10.20.30.1"), "{screen}");
    assert_eq!(column(rows[1], "地址"), column(rows[4], "10.20.30.2"), "{screen}");
    assert_eq!(column(rows[1], "组织"), column(rows[5], "Default"), "{screen}");
}

#[test]
fn every_screen_fits_every_width_from_40() {
    for lang in Lang::ALL {
        for columns in 40..=140 {
            let mut w = World::new(
                vec![target(1, "数据库主节点服务器", "长".repeat(60).as_str()), target(2, "a-rather-long-name-for-a-server.example.org", "x")],
                lang,
                (columns, 24),
            );
            let mut screen = w.settle();
            for line in ["p\r", "g\r", "?\r", "s\r", "b\r", "nothing like it\r"] {
                screen += &w.type_in(line);
            }
            for line in plain(&screen).lines() {
                assert!(terminal::width(line) < usize::from(columns), "{columns} {lang:?}: {line}");
            }
        }
    }
}

#[test]
fn a_single_hit_is_connected_and_what_follows_is_left_for_the_session() {
    let mut w = World::new(hosts(3), Lang::En, (80, 24));

    w.type_in("web2\rls -l\r");

    let choice = w.chosen().unwrap().clone();
    assert_eq!((choice.target.asset.name.as_str(), choice.account, choice.protocol.as_str()), ("web2", AccountAsk::Written("root".into()), "ssh"));
    assert_eq!(w.menu.unread(), b"ls -l\r");
}

#[test]
fn a_slash_search_only_lists_and_a_double_slash_searches_in_it() {
    let mut w = World::new(hosts(30), Lang::En, (80, 24));

    let one = plain(&w.type_in("/web30\r"));
    assert!(one.contains("1-1 of 1") && w.end.is_none());

    w.type_in("/web1\r");
    let refined = plain(&w.type_in("//30.12\r"));
    assert!(refined.contains("web12") && refined.contains("1-1 of 1"), "{refined}");

    w.type_in("1\r");
    assert_eq!(w.chosen().unwrap().target.asset.name, "web12");
}

#[test]
fn numbers_choose_on_this_page_and_on_others() {
    let mut w = World::new(hosts(40), Lang::En, (80, 24));
    w.type_in("p\r3\r");
    assert_eq!(w.chosen().unwrap().target.asset.name, "web3");

    let mut w = World::new(hosts(40), Lang::En, (80, 24));
    w.type_in("p\r39\r");
    assert_eq!(w.chosen().unwrap().target.asset.name, "web39");

    let mut w = World::new(hosts(40), Lang::En, (80, 24));
    w.type_in("p\r41\r");
    assert!(w.end.is_none(), "41 is searched for and not found");
}

#[test]
fn pages_turn_both_ways_and_stop_at_the_ends() {
    let mut w = World::new(hosts(40), Lang::En, (80, 24));

    assert!(plain(&w.type_in("\r")).contains("1-18 of 40"));
    assert!(plain(&w.type_in("n\r")).contains("19-36 of 40"));
    assert!(plain(&w.type_in("\r")).contains("37-40 of 40"));
    assert!(plain(&w.type_in("\r")).contains("last page"));
    assert!(plain(&w.type_in("b\r")).contains("19-36 of 40"));
    assert!(plain(&w.type_in("b\r")).contains("1-18 of 40"));
    assert!(plain(&w.type_in("b\r")).contains("first page"));
}

#[test]
fn folders_are_a_tree_and_open_by_number() {
    let mut w = World::new(hosts(3), Lang::En, (80, 24));

    let tree = plain(&w.type_in("g\r"));
    assert!(tree.contains("   1  Default (3)\n   2    Web (2)\n   3      Old (1)\n"), "{tree}");

    w.type_in("g2\r");
    assert!(w.asked.iter().any(|r| matches!(r, Request::Targets(q) if q.node.as_deref() == Some("/Default/Web"))));
    assert!(plain(&w.type_in("g9\r")).contains("no folder"));
}

#[test]
fn a_folder_opens_without_the_tree_being_shown_first() {
    let mut w = World::new(hosts(3), Lang::En, (80, 24));

    assert!(plain(&w.type_in("g1\r")).contains("1-3 of 3"));
}

#[test]
fn several_accounts_are_a_numbered_choice() {
    let mut w = World::new(hosts(1), Lang::En, (80, 24));
    w.accounts.push(AccountChoice { ask: AccountAsk::Input(String::new()), name: "@INPUT".into(), username: String::new(), types_secret: true });

    let list = plain(&w.type_in("web1\r"));
    assert!(list.contains("Accounts on web1:\n   1  root\n   2  another account"), "{list}");

    assert!(w.type_in("2\r").ends_with("User name> \u{1b}[K"));
    w.type_in("bob\r");
    assert_eq!(w.chosen().unwrap().account, AccountAsk::Input("bob".into()));
}

#[test]
fn back_leaves_the_account_choice_but_not_the_menu() {
    let mut w = World::new(hosts(1), Lang::En, (80, 24));
    w.accounts.push(w.accounts[0].clone());

    assert!(w.type_in("web1\rb\r").ends_with("Opt> \u{1b}[K"));
    assert!(w.end.is_none());
    w.type_in("q\r");
    assert_eq!(w.end, Some(Request::Leave));
}

#[test]
fn the_language_changes_for_this_session() {
    let mut w = World::new(hosts(1), Lang::En, (80, 24));

    let screen = w.type_in("s\r2\r");

    assert!(screen.contains("欢迎您"));
    assert!(w.asked.contains(&Request::Language(Lang::ZhCn)));
}

#[test]
fn ctrl_d_and_quit_words_leave_with_a_sentence() {
    for keys in ["\x04", "q\r", "quit\r", "exit\r", "exit\n"] {
        let mut w = World::new(hosts(1), Lang::En, (80, 24));

        assert!(w.type_in(keys).contains("Goodbye."), "{keys:?}");
        assert_eq!(w.end, Some(Request::Leave));
    }
}

#[test]
fn a_resize_draws_the_list_again_and_keeps_the_line() {
    let mut w = World::new(hosts(40), Lang::En, (80, 24));
    w.type_in("p\rabc");

    w.menu.resize(60, 12);
    let screen = w.settle();

    assert!(screen.starts_with("\x1b[H\x1b[2J"));
    assert!(screen.ends_with("Opt> abc\x1b[K"));
    assert!(screen.matches("\r\n").count() < 12, "{screen}");
}

#[test]
fn an_asset_that_speaks_nothing_served_here_is_refused() {
    let mut all = hosts(1);
    all[0].asset.protocols = vec![ProtocolPort { name: "rdp".into(), port: 3389 }];
    let mut w = World::new(all, Lang::En, (80, 24));

    assert!(w.type_in("web1\r").contains("not open for you on web1"));
    assert!(w.end.is_none());
}

#[test]
fn coming_back_from_a_session_shows_the_prompt_only() {
    let mut menu = Menu::new("Alice(alice)", Lang::En, (80, 24), true);

    assert_eq!(menu.take_output(), b"\rOpt> \x1b[K");
}

#[test]
fn an_idle_menu_closes_with_a_sentence() {
    let mut w = World::new(hosts(1), Lang::En, (80, 24));
    w.settle();

    w.menu.idle(30);

    assert!(w.settle().contains("Nothing was typed for 30 minutes"));
    assert_eq!(w.end, Some(Request::Leave));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2000), columns in 1u16..200, rows in 1u16..60) {
        let mut w = World::new(hosts(30), Lang::Ja, (columns, rows));
        w.settle();
        w.menu.feed(&bytes);
        w.settle();
        w.menu.resize(rows, columns);
        w.settle();
    }
}
