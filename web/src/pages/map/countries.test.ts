import world from "world-atlas/countries-110m.json";
import { expect, test } from "vitest";
import { codeOf, least, nameOf, onMap, shade, SHADES } from "./countries.ts";

test("every shape of the map but two has a code", () => {
  const shapes = world.objects.countries.geometries.map((g) => ({ name: g.properties.name, code: codeOf((g as { id?: string }).id, g.properties.name) }));
  expect(shapes.filter((s) => s.code === undefined).map((s) => s.name)).toEqual(["N. Cyprus", "Somaliland"]);
  expect(new Set(shapes.map((s) => s.code)).size).toBe(shapes.length - 1);
  const code = (name: string) => shapes.find((s) => s.name === name)?.code;
  expect([code("Germany"), code("Vietnam"), code("Serbia"), code("Zimbabwe"), code("Kosovo")]).toEqual(["DE", "VN", "RS", "ZW", "XK"]);
  // a code that nobody has is one that its country gave up
  expect(shapes.filter((s) => s.code && /^(BU|CS|DD|DY|FX|HV|NH|RH|SU|TP|VD|YD|YU|ZR|UK|EU)$/.test(s.code))).toEqual([]);
});

test("small countries are only on the list", () => {
  expect(onMap("NL")).toBe(true);
  expect(onMap("SG")).toBe(false);
});

test("names", () => {
  expect(nameOf("NL")).toBe("Netherlands");
  expect(nameOf("<b>")).toBe("<b>");
  expect(nameOf("ZZ")).toBeTruthy();
});

test("shades grow with the number", () => {
  expect(shade(0, 100)).toBe(0);
  expect(shade(1, 100)).toBe(1);
  expect(shade(100, 100)).toBe(SHADES);
  for (const most of [1, 2, 9, 1000, 123_456]) {
    let before = 0;
    for (let n = 1; n <= most; n += Math.ceil(most / 500)) {
      expect(shade(n, most)).toBeGreaterThanOrEqual(before);
      before = shade(n, most);
      expect(n).toBeGreaterThanOrEqual(least(before, most));
    }
  }
});
