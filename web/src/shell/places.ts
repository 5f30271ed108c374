/** The pages, in the order in which they are offered. */
export const PLACES = [
  { path: "/", name: "Overview" },
  { path: "/explore", name: "Explore" },
  { path: "/flows", name: "Flows" },
  { path: "/accounting", name: "Accounting" },
  { path: "/fleet", name: "Fleet" },
  { path: "/rules", name: "Rules" },
  { path: "/map", name: "Map" },
  { path: "/unparsed", name: "Unparsed" },
  { path: "/imports", name: "Imports" },
  { path: "/settings", name: "Settings" },
] as const;
