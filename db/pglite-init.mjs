// Makes a PGlite data directory, in a process of its own: initdb takes 800 MB for a moment, and a thread would leave 80 of
// them with the server. Usage: node pglite-init.mjs <directory>
import { PGlite } from '@electric-sql/pglite';

const database = await PGlite.create(/** @type {string} */ (process.argv[2]));
await database.close();
