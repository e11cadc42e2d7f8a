import path from 'node:path';
import { openDatabase } from '../db/database.ts';
import { migrate } from '../db/migrate.ts';

/**
 * Migrates the database that the settings name, needing nothing else of them. Answers the migrations applied now.
 * Errors: data_folder_in_use, schema_newer, store_unavailable.
 */
export async function migrateDatabase(environment: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const { ESPALIER_DATABASE_URL: databaseUrl, ESPALIER_DATA: data = 'espalier-data' } = environment;
  const db = await openDatabase(
    databaseUrl === undefined ? { dataFolder: path.resolve(data) } : { databaseUrl, statementTimeoutMs: 0 },
  );
  try {
    return await migrate(db);
  } finally {
    await db.close();
  }
}
