// Puts a migrated, empty PGlite data directory beside the compiled db/, so that a new data folder starts as a copy of it.
// Runs after the compile. The directory is made once per schema and kept in node_modules/.cache; it is not published.
import { cpSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
/** @type {typeof import('../db/template.ts')} */
const { ensureTemplate } = await import(new URL('../dist/db/template.js', import.meta.url).href);
const template = await ensureTemplate(path.join(root, 'node_modules', '.cache', 'espalier'));
cpSync(template, path.join(root, 'dist', 'db', path.basename(template)), { recursive: true });
