"use strict";
// Keys press what a finger would: everything here works without them, and without script.
(() => {
  const screen = () => document.getElementById("screen");
  const find = (selector) => screen()?.querySelector(selector);
  const busy = () => document.querySelector(".htmx-request") !== null;

  function focusScreen() {
    find("[data-focus]")?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }

  // Of several questions, the one that has the focus is answered, or the first that is open.
  function answer(key) {
    const all = [...screen().querySelectorAll("[data-question]")];
    const open = (q) => !q.querySelector("input:checked");
    const here = all.find((q) => q.contains(document.activeElement)) ?? all.find(open) ?? all[0];
    if (!here) return false;
    here.querySelector(`[data-answer="${key}"]`).checked = true;
    (all.find(open) ?? find(".save")).focus();
    return true;
  }

  function open(selector) {
    const wanted = find(selector);
    if (!wanted) return null;
    wanted.closest("details").open = true;
    return wanted;
  }

  function press(event) {
    const key = event.key;
    if (document.activeElement?.tagName === "TEXTAREA") {
      if (key === "Escape") find(".save").focus();
      else if (key === "Enter" && (event.ctrlKey || event.metaKey)) find(".ask").requestSubmit();
      else return;
      event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || !screen()) return;
    const lower = key.toLowerCase();
    const known = /^[a-z0-9]$/.test(lower);
    const target = known ? find(`[data-key="${lower}"]`) : null;
    if (key === "Enter" && /^(BUTTON|A|SUMMARY)$/.test(document.activeElement?.tagName)) return;
    if (target) {
      target.click();
    } else if (/^[ynx]$/.test(lower)) {
      if (!answer(lower)) return;
    } else if (/^[1-9]$/.test(key)) {
      open(`[data-code="${key}"]`)?.click();
    } else if (lower === "c") {
      open("#comment")?.focus();
    } else if (key === "Enter" && find(".save")) {
      find(".ask").requestSubmit();
    } else {
      return;
    }
    event.preventDefault();
  }

  document.addEventListener("keydown", (event) => {
    // A key held down, or pressed before the last answer is saved, is no answer to the next pair.
    if (event.repeat || busy()) {
      if (/^([a-z0-9]|Enter)$/i.test(event.key) && busy()) event.preventDefault();
      return;
    }
    press(event);
  });

  function tell(text) {
    const problem = document.getElementById("problem");
    if (!problem) return;
    problem.textContent = text;
    problem.hidden = !text;
    if (text) window.scrollTo(0, 0);
  }

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id === "screen" || screen()) {
      tell("");
      focusScreen();
    }
  });
  document.addEventListener("htmx:responseError", (event) =>
    tell("Not saved. " + event.detail.xhr.responseText.slice(0, 300))
  );
  document.addEventListener("htmx:sendError", () =>
    tell("Not saved: the server cannot be reached. Start vlsbench review again and open the new link.")
  );
  document.addEventListener("DOMContentLoaded", focusScreen);
})();
