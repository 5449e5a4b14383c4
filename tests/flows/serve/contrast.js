// Texts with less contrast to what is behind them than WCAG 2.1 AA asks for: their ratios and where they stand.
() => {
  const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = (rgb) => rgb.slice(0, 3).reduce((sum, value, n) => sum + linear(value / 255) * [0.2126, 0.7152, 0.0722][n], 0);
  const colour = (text) => text.match(/[\d.]+/g).map(Number);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = colour(getComputedStyle(at).backgroundColor);
      if (found[3] !== 0) return found;
    }
    return [255, 255, 255];
  };
  const ownText = (element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  return [...document.querySelectorAll("body *")]
    .filter((each) => each.checkVisibility() && ownText(each) && !each.closest(".unseen, .skip, :disabled"))
    .map((each) => {
      const [low, high] = [light(colour(getComputedStyle(each).color)), light(behind(each))].sort((a, b) => a - b);
      return [(high + 0.05) / (low + 0.05), each.outerHTML.slice(0, 90)];
    })
    .filter(([ratio]) => ratio < 4.5);
}
