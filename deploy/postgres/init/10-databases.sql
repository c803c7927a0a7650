-- A database and two roles for each service: NAME signs in and owns the tables, salur_NAME is what a running service
-- works as (see shared/postgres.py). Run once by psql, as the superuser, when the data folder is empty.
-- The logins need neither CREATEROLE nor CREATEDB, and cannot enter each other's database.

\getenv registry_password REGISTRY_DB_PASSWORD
\getenv eligibility_password ELIGIBILITY_DB_PASSWORD
\getenv payout_password PAYOUT_DB_PASSWORD
\getenv notify_password NOTIFY_DB_PASSWORD
\getenv monitor_password MONITOR_DB_PASSWORD
\getenv auditor_password AUDITOR_DB_PASSWORD

CREATE ROLE registry LOGIN PASSWORD :'registry_password';
CREATE ROLE salur_registry NOLOGIN;
GRANT salur_registry TO registry WITH ADMIN OPTION;
CREATE DATABASE registry OWNER registry;
REVOKE ALL ON DATABASE registry FROM PUBLIC;

CREATE ROLE eligibility LOGIN PASSWORD :'eligibility_password';
CREATE ROLE salur_eligibility NOLOGIN;
GRANT salur_eligibility TO eligibility WITH ADMIN OPTION;
CREATE DATABASE eligibility OWNER eligibility;
REVOKE ALL ON DATABASE eligibility FROM PUBLIC;

CREATE ROLE payout LOGIN PASSWORD :'payout_password';
CREATE ROLE salur_payout NOLOGIN;
GRANT salur_payout TO payout WITH ADMIN OPTION;
CREATE DATABASE payout OWNER payout;
REVOKE ALL ON DATABASE payout FROM PUBLIC;

CREATE ROLE notify LOGIN PASSWORD :'notify_password';
CREATE ROLE salur_notify NOLOGIN;
GRANT salur_notify TO notify WITH ADMIN OPTION;
CREATE DATABASE notify OWNER notify;
REVOKE ALL ON DATABASE notify FROM PUBLIC;

CREATE ROLE monitor LOGIN PASSWORD :'monitor_password';
CREATE ROLE salur_monitor NOLOGIN;
GRANT salur_monitor TO monitor WITH ADMIN OPTION;
CREATE DATABASE monitor OWNER monitor;
REVOKE ALL ON DATABASE monitor FROM PUBLIC;

-- Reads everything and writes nothing: `salur audit`, `salur trace`, `salur report`.
CREATE ROLE auditor LOGIN PASSWORD :'auditor_password';
GRANT pg_read_all_data TO auditor;
GRANT CONNECT ON DATABASE registry, eligibility, payout, notify, monitor TO auditor;
