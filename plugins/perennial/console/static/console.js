/* The script of Perennial's pages: Airflow's theme, links out of the iframe, and dialogs that call Airflow's API. */
"use strict";

(() => {
  const root = document.documentElement;

  // -- the theme: Airflow keeps the user's choice in localStorage and does not hand it to an iframe

  const system = matchMedia("(prefers-color-scheme: dark)");

  function followTheme() {
    let chosen = null;
    try {
      chosen = localStorage.getItem("theme");
    } catch {
      // storage is blocked: follow the system
    }
    const theme = chosen === "light" || chosen === "dark" ? chosen : system.matches ? "dark" : "light";
    root.dataset.theme = theme;
  }

  followTheme();
  system.addEventListener("change", followTheme);
  addEventListener("storage", (event) => {
    if (event.key === "theme" || event.key === null) followTheme();
  });

  // -- links: the iframe may neither open windows nor navigate Airflow, so an anchor of the parent document does it

  function parentDocument() {
    try {
      return window.parent === window ? null : window.parent.document;
    } catch {
      return null; // framed by another origin
    }
  }

  function openOutside(address, tab) {
    const outside = parentDocument();
    const link = outside.createElement("a");
    link.href = address;
    if (tab) {
      link.target = "_blank";
      link.rel = "noopener noreferrer";
    }
    outside.body.append(link);
    link.click();
    link.remove();
  }

  function follow(event) {
    const link = event.target.closest?.("a[href]");
    const elsewhere = event.button === 1 || event.ctrlKey || event.metaKey || event.shiftKey;
    if (!link || event.defaultPrevented || event.button > 1 || !parentDocument()) return;
    const where = link.dataset.out;
    if (!where && !elsewhere) return;
    const address = new URL(link.getAttribute("href"), location.href);
    const ours = !where && address.origin === location.origin;
    event.preventDefault();
    openOutside(ours ? root.dataset.framed + address.pathname + address.search + address.hash : address.href,
      elsewhere || where === "tab");
  }

  document.addEventListener("click", follow);
  document.addEventListener("auxclick", follow);

  // -- dialogs: a button names one, and so does the address: #do-collect?partition=2026-05-03

  // An address may fill in what a person sees and can change, and nothing else: not what a dialog does.
  const FILLED = ["date", "number", "text", "textarea", "select-one"];

  function openDialog(id, values) {
    const dialog = document.getElementById(id);
    if (!(dialog instanceof HTMLDialogElement) || dialog.open) return;
    const form = dialog.querySelector("form");
    form.reset();
    show(form, "", "");
    // the same for every request of this opening, so that a request that is sent again does not start a second run
    form.dataset.runId = `manual__${new Date().toISOString()}_${Math.random().toString(36).slice(2, 10)}`;
    const submit = form.querySelector("[type=submit]");
    submit.hidden = submit.disabled = false;
    for (const [name, value] of values) {
      const field = form.elements.namedItem(name);
      if (FILLED.includes(field?.type)) field.value = value;
    }
    dialog.showModal();
    form.querySelector("input:not([type=hidden]), select, textarea, button")?.focus();
  }

  function openFromAddress() {
    const [id, query] = location.hash.slice(1).split("?");
    if (!id.startsWith("do-")) return;
    openDialog(id, new URLSearchParams(query ?? ""));
    const absent = document.getElementById(`no-${id.slice(3)}`);
    if (absent) absent.hidden = false; // the sentence that says why there is no such dialog
  }

  function closed(event) {
    if (location.hash.startsWith("#do-")) history.replaceState(null, "", location.pathname + location.search);
    watched = null;
    if (event.target.dataset.changed) location.reload();
  }

  // -- actions: Airflow decides who may, keeps them in its audit log, and runs them

  const CALLS = {
    run: {
      path: (form) => `/api/v2/dags/${encodeURIComponent(form.dataset.dag)}/dagRuns`,
      body: (form) => ({ dag_run_id: form.dataset.runId, logical_date: null, conf: parameters(form) }),
      what: (form) => `start a run of ${form.dataset.dag}`,
    },
    retry: {
      path: (form) => `/api/v2/dags/${encodeURIComponent(form.dataset.dag)}/clearTaskInstances`,
      body: (form) => ({ dry_run: false, dag_run_id: form.dataset.run, only_failed: true, reset_dag_runs: true }),
      what: (form) => `retry the failed tasks of ${form.dataset.dag}`,
    },
  };

  /** The fields of a form as parameters of a run; a field that is left empty is left out. */
  function parameters(form) {
    const conf = {};
    for (const field of form.elements) {
      const text = field.name ? field.value.trim() : "";
      if (!text || field.disabled) continue;
      if (field.type === "checkbox" && field.dataset.kind === "name") {
        if (field.checked) (conf[field.name] ??= []).push(text);
      } else if (field.type === "checkbox") {
        if (field.checked) conf[field.name] = true;
      } else {
        conf[field.name] = field.dataset.kind === "integer" ? Number(text) : text;
      }
    }
    for (const [name, chosen] of Object.entries(conf)) {
      const boxes = Array.isArray(chosen) ? form.querySelectorAll(`[name="${name}"]`).length : 0;
      if (boxes && chosen.length === boxes) delete conf[name]; // all of them: the model's own choice
    }
    return conf;
  }

  async function ask(method, path, body) {
    return fetch(root.dataset.airflow + path, {
      method,
      credentials: "same-origin",
      redirect: "manual", // a proxy that wants a login answers with its address
      headers: { Accept: "application/json", ...(body ? { "Content-Type": "application/json" } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
  }

  function nothingChosen(form) {
    const boxes = [...form.querySelectorAll("[data-kind=name]")];
    return boxes.length > 0 && !boxes.some((box) => box.checked);
  }

  async function act(event) {
    const form = event.target;
    const call = CALLS[form.dataset.call];
    if (!call) return;
    event.preventDefault();
    if (nothingChosen(form)) return show(form, "bad", "Choose at least one candidate.");
    const submit = form.querySelector("[type=submit]");
    submit.disabled = true; // until a refusal; after a success, this dialog has done its work
    show(form, "", "Asking Airflow…");
    let answer, reply;
    try {
      answer = await ask("POST", call.path(form), call.body(form));
      reply = await answer.json().catch(() => ({}));
    } catch {
      submit.disabled = false;
      return show(form, "bad", `Airflow did not answer the request to ${call.what(form)}. ${AGAIN}`);
    }
    const sentBefore = answer.status === 409 && form.dataset.call === "run";
    if (!answer.ok && !sentBefore) {
      submit.disabled = false;
      return show(form, "bad", refusal(answer.status, reply, call.what(form)));
    }
    form.closest("dialog").dataset.changed = "yes";
    submit.hidden = true;
    if (form.dataset.call === "retry" && reply.task_instances?.length === 0) {
      return show(form, "", "No task of this run is failed any more, so nothing was started.");
    }
    await watch(form, form.dataset.run ?? form.dataset.runId);
  }

  const AGAIN = "It may have arrived. Sending it again is safe: nothing is started twice.";

  function refusal(status, answer, what) {
    const found = answer?.detail;
    const detail = typeof found === "string" ? found
      : Array.isArray(found) ? found.map((one) => `${(one.loc ?? []).slice(1).join(".")}: ${one.msg}`).join("; ")
        : String(found?.message ?? found?.reason ?? "");
    if (status === 401 || status === 0 || detail.includes("JWT")) {
      return "Your Airflow session has expired. Log in again in another tab, then send this again.";
    }
    if (status === 403) {
      return `Airflow refused: ${root.dataset.user} may look at this model, but may not ${what}. Nothing has changed. ` +
        "Ask an administrator of Airflow for a role that allows it.";
    }
    if (status === 404) return `Airflow does not know what is needed to ${what}: ${detail || "not found"}. Nothing has changed.`;
    if (status >= 500) return `Airflow failed to ${what} (${status}): ${detail || "no reason given"}. ${AGAIN}`;
    return `Airflow refused to ${what} (${status}): ${detail || "no reason given"}. Nothing has changed.`;
  }

  // -- after an action, the dialog follows the run to its end

  const ENDED = ["success", "failed"];
  let watched = null;

  async function watch(form, run) {
    const dag = form.dataset.dag;
    const path = `/dags/${encodeURIComponent(dag)}/runs/${encodeURIComponent(run)}`;
    const link = document.createElement("a");
    link.href = root.dataset.airflow + path;
    link.dataset.out = "tab";
    link.textContent = run;
    watched = run;
    show(form, "", "Run ", link, ` of ${dag} has started.`);
    while (watched === run) {
      await new Promise((done) => setTimeout(done, 1500));
      const answer = await ask("GET", `/api/v2/dags/${encodeURIComponent(dag)}/dagRuns/${encodeURIComponent(run)}`)
        .catch(() => null);
      if (watched !== run) return;
      if ([401, 403, 404].includes(answer?.status)) {
        return show(form, "bad", "Run ", link, ` of ${dag} has started, but Airflow no longer shows it to you (${answer.status}).`);
      }
      if (!answer?.ok) continue;
      const { state, note } = await answer.json();
      const good = state === "success";
      const said = note ? ` ${note}` : "";
      if (ENDED.includes(state)) {
        return show(form, good ? "good" : "bad", "Run ", link, good ? ` has succeeded.${said}` : ` has failed.${said}`);
      }
      show(form, "", "Run ", link, ` of ${dag} is ${state}.`);
    }
  }

  function show(form, kind, ...parts) {
    const place = form.querySelector("[role=status]");
    place.className = kind;
    place.replaceChildren(...parts);
  }

  // -- after the document is read

  async function copy(button) {
    const text = document.getElementById(button.dataset.copies).textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(document.getElementById(button.dataset.copies));
      button.textContent = "Selected: copy it";
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.addEventListener("click", (event) => {
      const button = event.target.closest?.("button");
      if (button?.dataset.opens) openDialog(button.dataset.opens, new URLSearchParams(button.dataset.values ?? ""));
      if (button?.dataset.copies) copy(button);
      if (button?.dataset.closes !== undefined) button.closest("dialog").close();
    });
    document.addEventListener("submit", act);
    for (const dialog of document.querySelectorAll("dialog")) dialog.addEventListener("close", closed);
    addEventListener("hashchange", openFromAddress);
    openFromAddress();
  });
})();
