"use strict";
// Elements are made here alone, and texts become text nodes: nothing that a submission says is ever markup.
const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);
const byId = (id) => document.getElementById(id);

// Only what surely is a web address becomes a link.
function link(text) {
  return /^https?:\/\/\S+$/.test(text) ? el("a", { href: text, rel: "noopener noreferrer nofollow" }, text) : text;
}
