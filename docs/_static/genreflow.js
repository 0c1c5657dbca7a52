/* Code and tables that are wider than the page can be scrolled by keyboard, too. */
"use strict";

function reach() {
  for (const part of document.querySelectorAll("pre, .table-wrapper")) {
    if (part.scrollWidth > part.clientWidth) part.setAttribute("tabindex", "0");
    else part.removeAttribute("tabindex");
  }
}

reach();
addEventListener("load", reach); // fonts and pictures have their sizes
addEventListener("resize", reach);
