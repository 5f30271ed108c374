// The address is the state: what is shown is a function of it, and what is clicked changes it.

class Route {
  path = $state(location.pathname);
  query = $state.raw(new URLSearchParams(location.search));
}

export const route = new Route();

function read() {
  route.path = location.pathname;
  route.query = new URLSearchParams(location.search);
}

addEventListener("popstate", read);

/** Goes to an address of this page. */
export function go(to: string, replace = false): void {
  if (to !== location.pathname + location.search) history[replace ? "replaceState" : "pushState"](null, "", to);
  read();
}

/** Clicks on links of this page do not load it anew. */
export function links(node: HTMLElement): { destroy(): void } {
  const click = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const a = (event.target as Element).closest?.("a");
    if (!a || a.target || a.hasAttribute("download") || a.origin !== location.origin) return;
    if (a.hash && a.pathname === location.pathname && a.search === location.search) return; // a place on this page
    if (a.pathname.startsWith("/api/") || a.pathname === "/docs") return;
    event.preventDefault();
    go(a.pathname + a.search);
  };
  node.addEventListener("click", click);
  return { destroy: () => node.removeEventListener("click", click) };
}

/** What the explorer holds in its address. */
export interface ExploreLink {
  q?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
  live?: boolean;
}

/** The address of the explorer with a filter. */
export function explore(link: ExploreLink): string {
  const query = new URLSearchParams();
  if (link.q) query.set("q", link.q);
  if (link.from) query.set("from", link.from);
  if (link.to) query.set("to", link.to);
  if (link.live) query.set("live", "1");
  const text = query.toString();
  return text ? `/explore?${text}` : "/explore";
}
