/**
 * `npm run test:whole` runs every case of the longest tests; `npm test` runs one of each, so that it stays below ten minutes.
 */
export const WHOLE = process.env.TIDEGATE_TESTS === "whole";
