//! Every form in which a server takes its token, found by trying where that is possible.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
};

use portcullis_check::{FormKind, Report, Selection, Symptom, Verdict};

use crate::{Bed, options, run};

/// Where a server looks for the token: gives it, out of a line of the head.
type Finder = fn(&str) -> Option<&str>;

/// A server that takes the token from one place alone: what stands there is handed on to the right server as a bearer
/// token, and what stands elsewhere is left out.
fn server(bed: &Bed, find: Finder) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, bed) = (listener.local_addr().unwrap(), bed.address);
    std::thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            std::thread::spawn(move || pass_on(client, bed, find));
        }
    });
    address
}

fn pass_on(mut client: TcpStream, bed: SocketAddr, find: Finder) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let token = head.lines().find_map(find);
    let elsewhere = ["Sec-WebSocket-Protocol", "Authorization", "Cookie", "X-Token"];
    let mut lines = vec!["GET /ws HTTP/1.1".to_owned()];
    let others = head.trim_end().lines().skip(1);
    let others = others.filter(|line| !elsewhere.iter().any(|name| line.starts_with(name)));
    lines.extend(others.map(ToOwned::to_owned));
    lines.extend(token.map(|token| format!("Authorization: Bearer {token}")));
    let out = lines.join("\r\n");
    let mut server = TcpStream::connect(bed).ok()?;
    server.write_all(out.as_bytes()).and_then(|()| server.write_all(b"\r\n\r\n")).ok()?;
    let (mut from, mut to) = (server.try_clone().ok()?, client.try_clone().ok()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    std::io::copy(&mut client, &mut server).ok()?;
    server.shutdown(Shutdown::Write).ok()
}

fn report(address: SocketAddr, bed: &Bed, forms: Vec<FormKind>) -> Report {
    let only = ["rule/before-101/no-token", "rfc7515/5.2/signature", "rule/answer", "rule/two-users"];
    let only: Vec<String> = only.map(ToOwned::to_owned).into();
    let mut options = options(bed, Selection::new(&only, &[], &[], Vec::new()).unwrap());
    options.target.port = address.port();
    options.login = None;
    options.forms = forms;
    run(options)
}

#[test]
fn the_form_is_found_by_trying() {
    for (form, find) in [
        ("Authorization: Bearer <token>", (|line| line.strip_prefix("Authorization: Bearer ")) as Finder),
        ("Sec-WebSocket-Protocol: jwt-auth, jwt.<token>", |line| {
            line.strip_prefix("Sec-WebSocket-Protocol: jwt-auth, jwt.")
        }),
        ("Sec-WebSocket-Protocol: access_token, <token>", |line| {
            line.strip_prefix("Sec-WebSocket-Protocol: access_token, ")
        }),
        ("?access_token=<token>", |line| {
            line.strip_prefix("GET /ws?access_token=")?.strip_suffix(" HTTP/1.1")
        }),
        ("Cookie: session=<token>", |line| line.strip_prefix("Cookie: session=")),
    ] {
        let bed = Bed::start("");
        let report = report(server(&bed, find), &bed, Vec::new());
        assert_eq!(report.server.form.as_deref(), Some(form));
        for case in &report.cases {
            assert_eq!(case.verdict, Verdict::Pass, "{form}: {}", crate::shown(case));
        }
        // Only forms that mostly are mistakes are told to be the cause of something.
        let odd = form.starts_with('?') || form.contains("access_token,");
        let causes: Vec<Symptom> = report.root_causes.iter().map(|cause| cause.symptom).collect();
        assert_eq!(causes, if odd { vec![Symptom::NoToken] } else { vec![] }, "{form}");
    }
}

#[test]
fn a_template_says_where_the_token_goes() {
    for (template, find) in [
        ("X-Token: v1 {token}", (|line| line.strip_prefix("X-Token: v1 ")) as Finder),
        ("?t={token}", |line| line.strip_prefix("GET /ws?t=")?.strip_suffix(" HTTP/1.1")),
    ] {
        let bed = Bed::start("");
        let address = server(&bed, find);
        let report = report(address, &bed, vec![template.parse().unwrap()]);
        assert_eq!(report.server.form.as_deref(), Some(template));
        for case in &report.cases {
            assert_eq!(case.verdict, Verdict::Pass, "{template}: {}", crate::shown(case));
        }
        assert!(report.root_causes.is_empty(), "who says it, means it: {:?}", report.root_causes);
    }
}
