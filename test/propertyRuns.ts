/**
 * Examples that a property draws. They are the same on every run, so most of many thousand prove nothing again: an ordinary run
 * takes the tenth of them, `PROPERTY_SEED=random npm test` draws all, and others each time.
 */
export const runs = (exploring: number): number => (process.env["PROPERTY_SEED"] === undefined ? Math.ceil(exploring / 10) : exploring)
