import { openDatabase } from '../db/database.ts';
import { migrate } from '../db/migrate.ts';
import { readDatabaseSettings } from './settings.ts';

/**
 * Migrates the database that the settings name, needing nothing else of them. Answers the migrations applied now.
 * Errors: settings_invalid, data_folder_in_use, schema_newer, store_unavailable.
 */
export async function migrateDatabase(environment: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const { DATABASE_URL: databaseUrl, DATA: dataFolder } = readDatabaseSettings(environment);
  const db = await openDatabase(databaseUrl === undefined ? { dataFolder } : { databaseUrl, statementTimeoutMs: 0 });
  try {
    return await migrate(db);
  } finally {
    await db.close();
  }
}
