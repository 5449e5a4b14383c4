// The texts of the scripts in the page's language. Each stands for itself where the page has no other.

const texts = JSON.parse(document.getElementById("texts")?.textContent || "{}");
const plural = new Intl.PluralRules(document.documentElement.lang || "en");
const forms = plural.resolvedOptions().pluralCategories;
const filled = (text, values) => text.replace(/%\((\w+)\)s/g, (_whole, name) => values[name]);

// values: for each %(name)s in the text
export const _ = (text, values = {}) => filled(texts[text]?.[0] || text, values);

// One text for one thing and another for more; %(n)s is their number.
export function many(one, more, n, values = {}) {
  const said = texts[one]?.[forms.indexOf(plural.select(n))] || (n === 1 ? one : more);
  return filled(said, { n, ...values });
}

export const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);
