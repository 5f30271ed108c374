// What is used of two small packages that come without types.

declare module "topojson-client" {
  interface Feature {
    id?: string;
    properties: { name: string };
  }
  export function feature(topology: unknown, object: unknown): { features: Feature[] };
}

declare module "d3-geo" {
  export interface Projection {
    fitExtent(extent: [[number, number], [number, number]], object: unknown): Projection;
  }
  export function geoNaturalEarth1(): Projection;
  export function geoPath(projection: Projection): (object: unknown) => string | null;
}
