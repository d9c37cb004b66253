-- The second database: who may do what in MLflow. The first, of runs, is made by POSTGRES_DB.
CREATE DATABASE mlflow_auth;
