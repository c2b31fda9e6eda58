() => {
    // WCAG 2's contrast of every text in view against what is painted behind it: [ratio, whether large, which text].
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true}), known = new Map();
    const rgba = (colour) => {
        if (!known.has(colour)) {
            canvas.clearRect(0, 0, 1, 1);
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
            known.set(colour, [...canvas.getImageData(0, 0, 1, 1).data].map((value) => value / 255));
        }
        return known.get(colour);
    };
    const over = ([r, g, b, a], below) => [r, g, b].map((value, i) => a * value + (1 - a) * below[i]);
    const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const striped = rgba(getComputedStyle(document.documentElement).getPropertyValue("--raised"));
    const ground = (element) => {
        const layers = [];
        for (let one = element; one; one = one.parentElement) {
            const style = getComputedStyle(one);
            layers.unshift(style.backgroundImage === "none" ? rgba(style.backgroundColor) : striped);
        }
        return layers.reduce((below, layer) => over(layer, below), [1, 1, 1]);
    };
    const seen = (element) => element.checkVisibility({opacityProperty: true, visibilityProperty: true});
    const own = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const told = [];
    for (const element of document.querySelectorAll("body *")) {
        const said = element.getBoundingClientRect().width <= 1;  // to screen readers alone
        const exempt = said || element.closest(":disabled, .disabled, [aria-hidden=true]");
        if (exempt || !own(element) || !seen(element)) continue;
        const style = getComputedStyle(element), behind = ground(element);
        const ink = [...rgba(element.ownerSVGElement ? style.fill : style.color)];
        for (let one = element; one; one = one.parentElement) ink[3] *= getComputedStyle(one).opacity;
        const [low, high] = [luminance(behind), luminance(over(ink, behind))].sort((a, b) => a - b);
        const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        const text = element.textContent.trim().slice(0, 40), named = `${element.getAttribute("class")}: ${text}`;
        told.push([(high + 0.05) / (low + 0.05), large, named]);
    }
    return told;
}
