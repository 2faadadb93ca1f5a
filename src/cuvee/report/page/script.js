"use strict";
(function () {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 600px)");
  const tight = window.matchMedia("(max-width: 900px)");
  const config = {
    responsive: true, displaylogo: false, displayModeBar: "hover", scrollZoom: false,
    modeBarButtons: [["toImage"]], toImageButtonOptions: { format: "svg" },
  };
  let printing = false;

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function themed(layout) {
    const ink = printing ? "#000000" : colour("--ink");
    const line = printing ? "#bbbbbb" : colour("--line");
    const box = printing ? "#ffffff" : colour("--box");
    const copy = JSON.parse(JSON.stringify(layout));
    copy.paper_bgcolor = copy.plot_bgcolor = "rgba(0,0,0,0)";
    const size = printing ? 10 : narrow.matches ? 11 : 13;
    copy.font = { color: ink, size: size, family: getComputedStyle(document.body).fontFamily };
    copy.modebar = { bgcolor: "rgba(0,0,0,0)", color: line, activecolor: ink };
    const hover = { bgcolor: box, bordercolor: line, font: { color: ink, size: 13 } };
    copy.hoverlabel = Object.assign({}, copy.hoverlabel, hover);
    if (tight.matches && copy.xaxis.side === "top") {
      copy.xaxis.tickangle = -90;
      if (narrow.matches) copy.xaxis.tickfont = copy.yaxis.tickfont = { size: 9 };
      copy.xaxis.title = Object.assign({}, copy.xaxis.title, { standoff: narrow.matches ? 48 : 64 });
      copy.margin = { l: 10, r: 0, t: narrow.matches ? 100 : 120, b: 5 };
    }
    for (const axis of ["xaxis", "yaxis"]) {
      Object.assign(copy[axis], { gridcolor: line, zerolinecolor: line, linecolor: line, tickcolor: line });
    }
    return copy;
  }

  function coloured(data) {
    const ink = printing ? "#000000" : colour("--ink");
    const copy = JSON.parse(JSON.stringify(data));
    for (const trace of copy) {
      if (trace.error_x) trace.error_x.color = ink;
      // A heat map has all of its columns on a telephone: smaller figures, and no scale beside them.
      if (trace.type === "heatmap") trace.showscale = !narrow.matches;
      if (trace.mode === "text") trace.textfont.size = narrow.matches ? 8 : 13;
    }
    return copy;
  }

  function chosen(name, chart) {
    const section = chart.closest("section");
    const own = section && section.querySelector('[data-choice="' + name + '"]');
    return (own || document.querySelector('[data-choice="' + name + '"]')).value;
  }

  function draw(chart) {
    const key = chart.dataset.key.split(" ").map((name) => chosen(name, chart)).join("|");
    const figure = figures[chart.dataset.figures][key];
    window.Plotly.react(chart, coloured(figure.data), themed(figure.layout), config);
  }

  function drawAll() {
    document.querySelectorAll(".chart").forEach(draw);
  }

  document.querySelectorAll("[data-choice]").forEach((each) => each.addEventListener("change", drawAll));
  dark.addEventListener("change", drawAll);
  narrow.addEventListener("change", drawAll);
  tight.addEventListener("change", drawAll);
  window.addEventListener("beforeprint", function () {
    printing = true;
    drawAll();
  });
  window.addEventListener("afterprint", function () {
    printing = false;
    drawAll();
  });
  drawAll();
})();
