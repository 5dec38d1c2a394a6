// Asks for the token where the server has one, fetches the description with it, and shows it with Swagger UI.
"use strict";

const KEY = "perennial.serving_token"; // sessionStorage: of this tab only, gone when it is closed
const part = (id) => document.getElementById(id);
const required = document.body.dataset.tokenRequired === "true";

async function show(token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let answer;
  try {
    answer = await fetch("openapi.json", { headers, cache: "no-store" });
  } catch {
    return ask("The server does not answer. Is it running?");
  }
  if (answer.status === 401) {
    sessionStorage.removeItem(KEY);
    return ask("This is not the token of this server.");
  }
  if (!answer.ok) {
    return ask(`The server answered ${answer.status} ${answer.statusText}.`);
  }
  const spec = await answer.json();
  if (token) sessionStorage.setItem(KEY, token);
  part("ask").hidden = true;
  part("forget").hidden = !required;
  const ui = SwaggerUIBundle({
    spec,
    domNode: part("operations"),
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    validatorUrl: null, // the default sends the description to a server on the internet
    onComplete: () => token && ui.preauthorizeApiKey("token", token),
  });
}

function ask(problem) {
  part("problem").textContent = problem;
  part("ask").hidden = false;
  part("token").focus();
}

part("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = part("token").value.trim();
  part("token").value = "";
  if (/^[\x21-\x7e]+$/.test(token)) show(token);
  else ask("A token has letters, digits and punctuation only, without spaces.");
});

part("forget").addEventListener("click", () => {
  sessionStorage.removeItem(KEY);
  location.reload();
});

const kept = sessionStorage.getItem(KEY);
if (kept || !required) show(kept);
else ask("");
