// Sphinx's own scores, but what a chapter says comes before the entries of the reference pages.
var Scorer = {
  score: ([page, , , , score]) => (page.startsWith("book/reference/") ? score - 100 : score),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
