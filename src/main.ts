#!/usr/bin/env node
// Placeholder entry until the rooms are wired.
export {}
