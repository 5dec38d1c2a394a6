"""Flight delays: will a flight out of New York arrive 15 minutes or more late, from what is known before it departs?"""
