/**
 * What `olla --version` tells: the text of the compiled version.js with OLLA_BUILD_VERSION, _COMMIT, _DATE, _USER and _TOOL
 * put in where they are set.
 *
 * @param {string} text
 * @param {Readonly<Record<string, string | undefined>>} env
 * @returns {string}
 */
export const stampVersion = (text, env) =>
  ["version", "commit", "date", "user", "tool"].reduce((stamped, key) => {
    const value = env[`OLLA_BUILD_${key.toUpperCase()}`]
    if (!value) return stamped
    return stamped.replace(new RegExp(`(\\b${key}: )"[^"]*"`), (_all, name) => name + JSON.stringify(value))
  }, text)
