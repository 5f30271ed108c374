/** A box that can be wider than its place is a stop for the keyboard while it is, so that its end can be reached. */
export function scrollable(node: HTMLElement, label: string): { destroy(): void } {
  const look = () => {
    const over = node.scrollWidth > node.clientWidth + 1;
    if (over === node.hasAttribute("tabindex")) return;
    if (over) {
      node.tabIndex = 0;
      node.setAttribute("role", "group");
      node.setAttribute("aria-label", label);
    } else for (const name of ["tabindex", "role", "aria-label"]) node.removeAttribute(name);
  };
  const observer = new ResizeObserver(look);
  observer.observe(node);
  if (node.firstElementChild) observer.observe(node.firstElementChild);
  return { destroy: () => observer.disconnect() };
}
