export const openApiJson = (): string => "{}"
