/** @internal The version of this package, as in package.json, which a browser has not at hand. */
export const packageVersion = '0.1.0'
