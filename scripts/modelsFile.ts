/** Writes config/models.yaml: the built-in rules as a file to start from. */
import { defaultModelRules, type ModelRules } from "../src/catalogue/ModelRules.ts"

/** Always quoted: no name is ever read as a number or a boolean. */
const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`

const list = (items: ReadonlyArray<string>): string => `[${items.map(quoted).join(", ")}]`

const map = (entries: Readonly<Record<string, string | number>>, indent: string): string =>
  Object.entries(entries)
    .map(([key, value]) => `${indent}${quoted(key)}: ${typeof value === "number" ? value : quoted(value)}`)
    .join("\n")

export const modelsFile = (
  rules: ModelRules = defaultModelRules
): string => `# How attributes of a model (family, publisher, quantisation, capabilities) are read off its name and its backend's list.
# These are the values that Olla has built in. A section that you leave out keeps them, one that you write replaces them
# entirely. Looked for as models.yaml in $OLLA_CONFIG_DIR, here, in config/, and beside the configuration file; read once
# at the start. Patterns are RE2: no look-around, no back-references. See docs/models.md.
version: "1.0"

model_extraction:
  # Tried in order on the lower-cased name, after preserve_family and architecture_mappings; the first whose family group is
  # not empty wins. Groups count from 1; 0 or none: empty.
  family_patterns:
${rules.familyPatterns
  .map(
    ({ pattern, familyGroup, variantGroup, description }) =>
      `    - {pattern: ${quoted(pattern)}, family_group: ${familyGroup}, variant_group: ${variantGroup}, description: ${quoted(description)}}`
  )
  .join("\n")}

  # Architecture (as a backend states it, lower-cased) to family.
  architecture_mappings:
${map(rules.architectureMappings, "    ")}

  # Further architectures; also what the first word of a name may begin with when no pattern matches. The longest wins.
  family_aliases:
${map(rules.familyAliases, "    ")}

  # Beginning of a name to publisher, where neither the backend nor an \`organisation/\` in the name says it. The longest wins.
  publisher_mappings:
${map(rules.publisherMappings, "    ")}

quantization:
  # Upper-cased spelling to the short form.
  mappings:
${map(rules.quantizationMappings, "    ")}

capabilities:
  # By the type that a backend states.
  type_capabilities:
${Object.entries(rules.typeCapabilities)
  .map(([type, names]) => `    ${quoted(type)}: ${list(names)}`)
  .join("\n")}

  # Every pattern that matches the name, in any case, adds its capabilities.
  name_patterns:
${rules.namePatterns.map(({ pattern, capabilities }) => `    - {pattern: ${quoted(pattern)}, capabilities: ${list(capabilities)}}`).join("\n")}

  # Tokens of context from which on a label is given; without its threshold a label is never given.
  context_thresholds:
${map(rules.contextThresholds as Readonly<Record<string, number>>, "    ")}

special_rules:
  # Families that are kept whole, without a variant.
  preserve_family: ${list(rules.preserveFamily)}
  # Names that say nothing: there the architecture may give the variant.
  generic_names: ${list(rules.genericNames)}
`
