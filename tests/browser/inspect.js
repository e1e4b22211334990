// What a rendered page looks like to a reader. Each function returns a list of troubles, as sentences.
(() => {
  const article = () => document.querySelector(".bd-article") || document.body;
  const short = (text) => text.replace(/\s+/g, " ").trim().slice(0, 80);
  const visible = (element) => element.getClientRects().length > 0;

  // Text nodes that a reader reads: not code, not MathJax's own, not scripts.
  function* prose() {
    const skipped = "pre, code, script, style, noscript, template, textarea, mjx-container";
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      if (node.data.trim() && !node.parentElement.closest(skipped)) yield node;
    }
  }

  const math = () => {
    const troubles = [];
    for (const node of prose()) {
      if (/\$|\\\(|\\\[|\\begin\{/.test(node.data)) troubles.push(`raw TeX: ${short(node.data)}`);
    }
    for (const element of document.querySelectorAll(".math, .text_latex")) {
      if (!element.querySelector("mjx-container")) {
        troubles.push(`equation not typeset: ${short(element.textContent)}`);
      }
    }
    for (const element of document.querySelectorAll("mjx-merror, [data-mjx-error]")) {
      troubles.push(`TeX error: ${element.dataset.mjxError || short(element.textContent)}`);
    }
    return troubles;
  };

  const directives = () => {
    const troubles = [];
    for (const node of prose()) {
      if (/^\s*:::|`{3}|\{[a-z:-]+\}`|^\s*\{[a-z-]+\}\s/.test(node.data)) {
        troubles.push(`unrendered directive or role: ${short(node.data)}`);
      }
    }
    for (const block of article().querySelectorAll("pre, code")) {
      if (/^\s*(`{3,}|:::)?\{[a-z-]+\}/.test(block.textContent)) {
        troubles.push(`unrendered directive: ${short(block.textContent)}`);
      }
    }
    return troubles;
  };

  const images = () => {
    const troubles = [];
    for (const image of document.querySelectorAll("img")) {
      const name = short((image.getAttribute("src") || "without src").slice(0, 60));
      if (!image.complete || image.naturalWidth === 0) troubles.push(`empty image: ${name}`);
      if (!(image.getAttribute("alt") || "").trim()) troubles.push(`image without alt: ${name}`);
    }
    for (const drawing of article().querySelectorAll(".cell_output svg[role=img]")) {
      const title = drawing.querySelector(":scope > title");
      if (!title || !title.textContent.trim()) troubles.push("drawing without title");
    }
    for (const output of document.querySelectorAll(".cell_output")) {
      const shown = output.querySelector("img, svg, canvas, table, video, iframe, mjx-container");
      if (!shown && !output.textContent.trim()) troubles.push("empty cell output");
    }
    return troubles;
  };

  const captions = () => {
    const troubles = [];
    for (const figure of document.querySelectorAll("figure")) {
      if (!figure.querySelector("img, svg, canvas")) troubles.push("figure without a picture");
      const caption = figure.querySelector("figcaption");
      if (!caption || !caption.textContent.trim()) troubles.push("figure without a caption");
    }
    for (const image of article().querySelectorAll(".cell_output :is(img, svg[role=img])")) {
      if (!image.closest("figure")) troubles.push("picture of a cell outside a figure");
    }
    return troubles;
  };

  const headings = () => {
    const troubles = [];
    const found = [...article().querySelectorAll("h1, h2, h3, h4, h5, h6")];
    const levels = found.map((heading) => Number(heading.tagName[1]));
    const tops = levels.filter((level) => level === 1).length;
    if (tops !== 1) troubles.push(`${tops} headings of level 1`);
    levels.forEach((level, index) => {
      if (index > 0 && level > levels[index - 1] + 1) {
        troubles.push(`level ${level} after ${levels[index - 1]}: ${short(found[index].textContent)}`);
      }
    });
    return troubles;
  };

  const width = () => {
    const page = document.documentElement.scrollWidth;
    if (page <= window.innerWidth) return [];
    const wide = [...article().querySelectorAll("*")].find(
      (element) => element.getBoundingClientRect().right > window.innerWidth + 1,
    );
    const culprit = wide ? `, first too wide: <${wide.tagName.toLowerCase()}>` : "";
    return [`page is ${page} px wide in a window of ${window.innerWidth} px${culprit}`];
  };

  // A wide equation must start at its left edge, where scrolling can reach it.
  const equations = () =>
    [...document.querySelectorAll("div.math")]
      .filter(visible)
      .filter((block) => {
        const content = block.querySelector("mjx-container");
        const left = content && content.getBoundingClientRect().left;
        return content && left < block.getBoundingClientRect().left - 1 - block.scrollLeft;
      })
      .map((block) => `start of an equation out of reach: ${short(block.textContent)}`);

  // WCAG 2.1 contrast of text and what lies behind it.
  const rgba = (text) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 1;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = text;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], behind) =>
    [r, g, b].map((value, index) => value * a + behind[index] * (1 - a));
  const background = (element) => {
    if (!element) return [255, 255, 255];
    const color = rgba(getComputedStyle(element).backgroundColor);
    return color[3] === 1 ? color.slice(0, 3) : over(color, background(element.parentElement));
  };
  const luminance = (color) => {
    const [r, g, b] = color.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = () => {
    const troubles = new Map();
    for (const node of prose()) {
      const element = node.parentElement;
      if (!article().contains(element) || !visible(element)) continue;
      if (element.closest(".headerlink, button, .visually-hidden, .search-button__kbd-shortcut")) continue;
      const behind = background(element);
      const text = over(rgba(getComputedStyle(element).color), behind);
      const pair = [luminance(text), luminance(behind)].sort((a, b) => b - a);
      const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
      const key = `${element.tagName} ${ratio.toFixed(2)}`;
      if (ratio < 4.5) {
        troubles.set(key, `contrast ${ratio.toFixed(2)} in <${element.tagName.toLowerCase()}>: ${short(node.data)}`);
      }
    }
    return [...troubles.values()];
  };

  // A figure is drawn on white: in the dark it needs a light card and its true colors.
  const darkFigures = () => {
    const troubles = [];
    for (const image of document.querySelectorAll("figure.vae-figure img")) {
      const style = getComputedStyle(image);
      if (style.filter !== "none") troubles.push(`figure colors changed: ${style.filter}`);
      if (luminance(background(image)) < 0.8) troubles.push("figure without a light card");
    }
    return troubles;
  };

  window.inspectPage = {
    math, directives, images, captions, headings, width, equations, contrast, darkFigures,
  };
})();
