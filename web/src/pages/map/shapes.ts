// The world as shapes to draw: all of it is in the program, nothing is fetched from elsewhere.

import { geoNaturalEarth1, geoPath } from "d3-geo";
import { feature } from "topojson-client";
import world from "world-atlas/countries-110m.json";
import { codeOf } from "./countries.ts";

export const WIDTH = 960;
export const HEIGHT = 460;

export interface Shape {
  code: string | undefined;
  name: string;
  path: string;
}

/** Antarctica takes a third of the height and sends nothing. */
const LEFT_OUT = "AQ";

/** The countries as paths. */
export function shapes(): Shape[] {
  const all = feature(world, world.objects.countries).features.map((one) => ({
    one,
    code: codeOf(one.id, one.properties.name),
  }));
  const shown = all.filter((s) => s.code !== LEFT_OUT);
  const collection = { type: "FeatureCollection", features: shown.map((s) => s.one) };
  const path = geoPath(geoNaturalEarth1().fitExtent([[2, 2], [WIDTH - 2, HEIGHT - 2]], collection));
  return shown.map((s) => ({ code: s.code, name: s.one.properties.name, path: path(s.one) ?? "" }));
}
