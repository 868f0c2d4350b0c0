"""The dashboard: draws, decides nothing. `streamlit run dashboard/app.py`."""
